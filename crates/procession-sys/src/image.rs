//! The main program as it lies in memory: where its code is, and which build
//! it is. Two processes of one build can name a function to each other by its
//! distance from the load address, wherever the kernel put either of them.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::OnceLock;

/// The executable of this process, as loaded.
#[derive(Debug)]
pub struct Image {
    base: usize,
    /// Address of the program headers.
    headers: usize,
    code: Vec<Range<usize>>,
    build_id: Vec<u8>,
}

/// The main program of the calling process.
///
/// # Panics
/// Never: every process has one, and libc lists it first.
///
/// # References
/// dl_iterate_phdr(3), elf(5)
pub fn main_program() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut found: Option<Image> = None;
        // SAFETY: the callback gets the pointer to `found`, which outlives the
        // call, and is called by this thread only.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
        found.expect("libc lists the main program")
    })
}

/// Takes the first object that libc reports, which is the main program.
unsafe extern "C" fn first(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    found: *mut c_void,
) -> libc::c_int {
    // SAFETY: libc passes a valid structure for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: what `main_program` passed, and nobody else uses it meanwhile.
    let found = unsafe { &mut *found.cast::<Option<Image>>() };
    // SAFETY: libc reports address and number of headers that stay mapped.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr as usize;
    let range = |header: &libc::Elf64_Phdr| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let code: Vec<Range<usize>> = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
        .map(range)
        .collect();
    let notes = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_NOTE)
        .map(range);
    let build_id = notes
        // SAFETY: note segments are part of the read-only image, which is
        // never unmapped.
        .map(|range| unsafe { bytes(range) })
        .find_map(build_id)
        .unwrap_or_else(|| {
            // Without one, the code itself tells builds apart.
            let mut hash = 0xcbf2_9ce4_8422_2325_u64;
            for range in &code {
                // SAFETY: as above, of the code segments.
                for word in unsafe { bytes(range.clone()) }.chunks(8) {
                    let mut padded = [0; 8];
                    padded[..word.len()].copy_from_slice(word);
                    hash = (hash ^ u64::from_le_bytes(padded)).wrapping_mul(0x100_0000_01b3);
                    hash ^= hash >> 29;
                }
            }
            hash.to_le_bytes().to_vec()
        });
    *found = Some(Image {
        base,
        headers: info.dlpi_phdr as usize,
        code,
        build_id,
    });
    1
}

/// # Safety
/// The range is mapped, readable, and never changed or unmapped.
unsafe fn bytes(range: Range<usize>) -> &'static [u8] {
    let start = std::ptr::with_exposed_provenance(range.start);
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start, range.len()) }
}

/// The build id among notes: name "GNU", type 3.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes) as usize)
    };
    while notes.len() >= 12 {
        let (name, length, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let start = 12 + name.next_multiple_of(4);
        let id = notes.get(start..start.checked_add(length)?)?;
        if kind == 3 && notes.get(12..12 + name) == Some(b"GNU\0") {
            return Some(id.to_vec());
        }
        notes = notes.get(start + length.next_multiple_of(4)..)?;
    }
    None
}

impl Image {
    /// Returns what tells this build from others: the linker's build id, or a hash of the
    /// code.
    #[must_use]
    pub fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    /// Returns the function's distance from the load address, if it is code of the main
    /// program; `None` for code of a shared library, or made at run time.
    #[must_use]
    pub fn offset(&self, function: *const ()) -> Option<u64> {
        let address = function.addr();
        self.contains(address)
            .then(|| address.wrapping_sub(self.base) as u64)
    }

    fn contains(&self, address: usize) -> bool {
        self.code.iter().any(|range| range.contains(&address))
    }

    /// The function at this distance; `None` if no code of the program is
    /// there.
    ///
    /// # Panics
    /// If `F` is not as wide as a pointer.
    ///
    /// # Safety
    /// `F` is a function pointer type, and the offset came from
    /// [`offset`](Image::offset) of a function of exactly this type in a
    /// process of the same [`build_id`](Image::build_id).
    #[must_use]
    pub unsafe fn function<F: Copy>(&self, offset: u64) -> Option<F> {
        assert_eq!(size_of::<F>(), size_of::<usize>());
        let address = self.base.wrapping_add(offset as usize);
        if !self.contains(address) {
            return None;
        }
        let pointer: *const () = std::ptr::with_exposed_provenance(address);
        // SAFETY: as wide (asserted above), and a valid value by the caller's
        // promise.
        Some(unsafe { std::mem::transmute_copy(&pointer) })
    }

    /// Returns `true` if the kernel itself loaded the program, and `false` if a dynamic
    /// loader did that was started with the program as argument; `/proc/self/exe` is then
    /// the loader.
    ///
    /// # Errors
    /// Those of looking into `/proc/self`.
    pub fn is_loaded_by_kernel(&self) -> std::io::Result<bool> {
        // getauxval would tell what the loader has put in place of this; and the file
        // is closed to a process that has become another user.
        let vector = auxiliary_vector().or_else(|| std::fs::read("/proc/self/auxv").ok());
        let Some(vector) = vector else {
            return self.is_in_executed_file();
        };
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, usize::from_ne_bytes);
        Ok(vector.chunks_exact(16).any(|entry| {
            word(&entry[..8]) as u64 == libc::AT_PHDR && word(&entry[8..]) == self.headers
        }))
    }

    /// Returns `true` if the program's headers were mapped from the file that was executed.
    fn is_in_executed_file(&self) -> std::io::Result<bool> {
        use std::os::unix::ffi::OsStrExt;
        let executed = std::fs::read_link("/proc/self/exe")?;
        let maps = std::fs::read("/proc/self/maps")?;
        Ok(maps.split(|byte| *byte == b'\n').any(|line| {
            let holds = || {
                let text = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
                let (start, end) = text.split_once('-')?;
                let number = |digits| usize::from_str_radix(digits, 16).ok();
                Some((number(start)?..number(end)?).contains(&self.headers))
            };
            holds() == Some(true) && line.ends_with(executed.as_os_str().as_bytes())
        }))
    }
}

/// What the kernel told the program, or its loader, at its start, unchanged.
///
/// # References
/// PR_GET_AUXV(2const), since Linux 6.4
fn auxiliary_vector() -> Option<Vec<u8>> {
    const PR_GET_AUXV: libc::c_int = 0x4155_5856;
    let mut vector = vec![0_u8; 1024];
    let (address, length) = (vector.as_mut_ptr(), vector.len());
    // SAFETY: the kernel writes no more than the length, into a live buffer.
    let size = unsafe { libc::prctl(PR_GET_AUXV, address, length, 0, 0) };
    vector.truncate(usize::try_from(size).ok()?);
    Some(vector)
}

/// Returns `true` if the program was given more rights than its caller has (set-uid,
/// set-gid, file capabilities).
///
/// # References
/// getauxval(3) "AT_SECURE"
#[must_use]
pub fn is_privileged() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Random bytes that the kernel gave this program when it executed it; forks have
/// the same.
///
/// # Panics
/// Never: the kernel gives them to every program.
///
/// # References
/// getauxval(3) "AT_RANDOM"
#[must_use]
pub fn random_of_start() -> u128 {
    // SAFETY: no preconditions.
    let address = unsafe { libc::getauxval(libc::AT_RANDOM) };
    let place: *const [u8; 16] = std::ptr::with_exposed_provenance(address as usize);
    assert!(!place.is_null(), "every program has them");
    // SAFETY: sixteen bytes that the kernel has put above the stack, where nobody
    // changes them.
    u128::from_ne_bytes(unsafe { place.read() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(number: i32) -> i32 {
        number * 2
    }

    #[test]
    fn a_function_is_found_again_at_its_offset() {
        let image = main_program();
        let offset = image.offset(double as fn(i32) -> i32 as *const ()).unwrap();
        // SAFETY: same process, same type.
        let again = unsafe { image.function::<fn(i32) -> i32>(offset) }.unwrap();
        assert_eq!(again(21), 42);
    }

    #[test]
    fn code_of_libc_and_data_are_not_ours() {
        let image = main_program();
        assert_eq!(image.offset(libc::getpid as *const ()), None);
        let local = 0;
        assert_eq!(image.offset((&raw const local).cast()), None);
        // SAFETY: nothing is there, so nothing is made of it.
        assert!(unsafe { image.function::<fn()>(u64::MAX / 2) }.is_none());
    }

    #[test]
    fn this_program_was_loaded_by_the_kernel_and_has_an_identity() {
        assert!(main_program().is_loaded_by_kernel().unwrap());
        assert!(main_program().is_in_executed_file().unwrap());
        assert!(main_program().build_id().len() >= 8);
        assert!(!is_privileged());
    }

    #[test]
    fn notes_that_lie_about_their_length_are_not_followed() {
        let mut notes = Vec::new();
        for word in [4_u32, u32::MAX, 3] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(b"GNU\0");
        assert_eq!(build_id(&notes), None);
    }
}
