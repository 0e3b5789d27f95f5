//! Fresh credentials from the kernel's random numbers.

use crate::Secret;

/// How many random bytes a generated credential has: 256 bits, so that no online or offline guessing is possible.
const CREDENTIAL_BYTES: usize = 32;

/// A fresh credential: 64 lower-case hexadecimal digits, safe in a URL, a header, a shell and a configuration file.
pub fn credential() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0_u8; CREDENTIAL_BYTES];
    getrandom::fill(&mut bytes)?;
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.fill(0);
    Ok(Secret::new(text))
}
