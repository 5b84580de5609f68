//! Large pieces of memory that start as zeros and cost nothing until they are written.
//!
//! With pages of 2 MiB, where the system has them, what is looked up at random misses fewer entries of the page table. But
//! such a page is dearer where the host of a virtual machine takes back what has been free for a while, which it does with
//! large pieces only (Linux: free page reporting): there a fresh one costs five times as much a byte as pages of 4 KiB. So
//! only what is looked up again and again asks for them.

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
        // Not from the allocator: it may fill with zeros what was used before, all at once and on one thread.
        match if len >= LARGE { MmapMut::map_anon(len).ok() } else { None } {
            Some(pages) => Memory::Pages(pages),
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

/// Numbers of 64 bits that are looked up at random.
pub(crate) struct Words(Memory);

impl Words {
    pub(crate) fn zeros(len: usize) -> Self {
        let memory = Memory::zeros(size_of::<u64>() * len);
        // Advice may be declined, which costs time and nothing else.
        #[cfg(target_os = "linux")]
        let _declined =
            if let Memory::Pages(pages) = &memory { pages.advise(memmap2::Advice::HugePage) } else { Ok(()) };
        Words(memory)
    }

    pub(crate) fn view(&self) -> &[[u8; 8]] {
        self.0.as_chunks().0
    }

    pub(crate) fn view_mut(&mut self) -> &mut [[u8; 8]] {
        self.0.as_chunks_mut().0
    }
}
