//! Large pieces of memory that start as zeros, for what is looked up at random: with pages of 2 MiB, where the system has
//! them, that misses fewer entries of the page table. What is written once and read seldom lies on small pages: a host
//! that takes free memory back from its guests (free page reporting) takes large pieces of it, and to get one again then
//! costs five times as much a byte as pages of 4 KiB, of which some have just been freed.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Below this many bytes the allocator does as well.
const LARGE: usize = 4 << 20;

enum Memory {
    Heap(Vec<u8>),
    Pages(MmapMut),
}

impl Memory {
    fn zeros(len: usize) -> Self {
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

/// Numbers of 64 bits in large memory.
pub(crate) struct Words(Memory);

impl Words {
    pub(crate) fn zeros(len: usize) -> Self {
        Words(Memory::zeros(size_of::<u64>() * len))
    }

    pub(crate) fn view(&self) -> &[[u8; 8]] {
        self.0.as_chunks().0
    }

    pub(crate) fn view_mut(&mut self) -> &mut [[u8; 8]] {
        self.0.as_chunks_mut().0
    }
}
