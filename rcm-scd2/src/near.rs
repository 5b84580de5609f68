//! Memory that is asked for before it is needed, so that nobody waits for it.

/// Bytes that come at once.
const LINE: usize = 64;
/// Where a row is needed for every so many bytes, all of them come faster from front to back than the few one by one.
const DENSE: usize = 128;

/// Asks for what is behind a reference, as far as the second-level cache: what is asked for at once may be more than the
/// first has room for.
#[inline(always)]
#[allow(unsafe_code, reason = "the processor is told where it will be asked to read")]
pub(crate) fn fetch<T: Copy>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint; it reads and writes nothing and cannot fault, whatever the address. Each x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(at).cast()) }
    }
    // There is no stable hint for others. They wait, but for many at once: loads that nothing hangs on overlap.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*at);
}

/// Asks for cells, all if enough rows need some of them, else those that are needed.
pub(crate) fn fetch_all<'a, T: Copy + 'a>(cells: &[T], rows: usize, needed: impl Iterator<Item = &'a T>) {
    if size_of_val(cells) <= DENSE * rows {
        cells.iter().step_by(LINE / size_of::<T>()).for_each(fetch);
    } else {
        needed.for_each(fetch);
    }
}
