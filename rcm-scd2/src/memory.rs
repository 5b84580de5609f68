//! Large pieces of memory that start as zeros.
//!
//! Fresh memory costs a page fault for every 4 KiB; with pages of 2 MiB, where the system has them, it costs hardly any,
//! and looking things up at random misses fewer entries of the page table.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Below this many bytes the allocator does as well.
const LARGE: usize = 4 << 20;

pub(crate) enum Memory {
    Heap(Vec<u8>),
    Pages(MmapMut),
}

impl Memory {
    pub(crate) fn zeros(len: usize) -> Self {
        let pages = if len >= LARGE { MmapMut::map_anon(len).ok() } else { None };
        match pages {
            Some(pages) => {
                // Advice may be declined, which costs time and nothing else.
                #[cfg(target_os = "linux")]
                let _declined = pages.advise(memmap2::Advice::HugePage);
                Memory::Pages(pages)
            }
            None => Memory::Heap(vec![0; len]),
        }
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(bytes) => bytes,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(bytes) => bytes,
            Memory::Pages(bytes) => bytes,
        }
    }
}

/// Numbers of `N` bytes in large memory.
pub(crate) struct Words<const N: usize>(Memory);

impl<const N: usize> Words<N> {
    pub(crate) fn zeros(len: usize) -> Self {
        Words(Memory::zeros(N * len))
    }

    pub(crate) fn view(&self) -> &[[u8; N]] {
        self.0.as_chunks().0
    }

    pub(crate) fn view_mut(&mut self) -> &mut [[u8; N]] {
        self.0.as_chunks_mut().0
    }
}
