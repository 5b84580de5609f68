//! A secret's memory holds nothing of it any more when it goes back to the allocator.
#![allow(unsafe_code)] // an allocator that looks at what it is given back
#![allow(clippy::unwrap_used)]

use rcm_core::Secret;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const CANARY: &[u8] = b"canary-6f1d2c";

/// How often memory that holds the canary came back.
static LEAKED: AtomicUsize = AtomicUsize::new(0);

struct Looking;

// SAFETY: every call goes to the system's allocator with the layout it came with. Memory is looked at before it is given
// back, within its layout; all of it is initialised, for it was asked for as zeros.
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let bytes = unsafe { std::slice::from_raw_parts(memory, layout.size()) };
        if bytes.windows(CANARY.len()).any(|window| window == CANARY) {
            LEAKED.fetch_add(1, Ordering::SeqCst);
        }
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Looking = Looking;

fn canary() -> String {
    String::from_utf8(CANARY.to_vec()).unwrap()
}

#[test]
fn a_secret_is_wiped() {
    let before = LEAKED.load(Ordering::SeqCst);
    drop(canary());
    assert_eq!(LEAKED.load(Ordering::SeqCst), before + 1, "what is no secret is seen: the test can fail");
    let secret = Secret::new(canary());
    let copy = secret.clone();
    drop((secret, copy));
    assert_eq!(LEAKED.load(Ordering::SeqCst), before + 1);
    assert!(!format!("{:?}", Secret::new(canary())).contains("canary"));
    assert_eq!(LEAKED.load(Ordering::SeqCst), before + 1);
}
