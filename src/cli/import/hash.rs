use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);

const HOW: &str = "give the SHA-256 of each key's whole text, as `printf %s \"$KEY\" | sha256sum` prints it";

/// A SHA-256 in hexadecimal or base64, with what databases and tools put before it. What is none is not
/// repeated: it may be a secret.
pub(super) fn parse(text: &str) -> Result<[u8; 32], String> {
    let text = text.trim();
    let bare = ["sha256:", "sha256-", "SHA256:", "\\x", "0x"].iter().find_map(|front| text.strip_prefix(front));
    let bare = bare.unwrap_or(text);
    if let Some(hash) = hex(bare) {
        return Ok(hash);
    }
    // Base64 may itself begin like something that is put before it.
    base64(bare).or_else(|| base64(text)).ok_or_else(|| format!("{}; {HOW}", why_not(bare)))
}

fn base64(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    bytes.try_into().ok()
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(hash)
}

/// By its shape alone.
fn why_not(text: &str) -> &'static str {
    const SLOW: [&str; 7] = ["$2a$", "$2b$", "$2y$", "$argon2", "$scrypt", "$pbkdf2", "pbkdf2"];
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.len() {
        0 => "is empty",
        _ if SLOW.iter().any(|front| text.starts_with(front)) => {
            "is a hash with a salt (bcrypt, scrypt, Argon2, PBKDF2), by which no text can be looked up"
        }
        32 if is_hex => "is as long as an MD5",
        40 if is_hex => "is as long as a SHA-1",
        56 if is_hex => "is as long as a SHA-224",
        96 if is_hex => "is as long as a SHA-384",
        128 if is_hex => "is as long as a SHA-512",
        _ => "is no SHA-256: neither 64 hexadecimal digits nor 32 bytes of base64",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_reads_in_each_of_its_spellings(hash: [u8; 32]) {
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            let (standard, url) = (STANDARD.encode(hash), URL_SAFE.encode(hash));
            for text in [
                hex.clone(),
                hex.to_uppercase(),
                format!("sha256:{hex}"),
                format!("\\x{hex}"),
                format!(" {hex} "),
                standard.trim_end_matches('=').to_owned(),
                url.trim_end_matches('=').to_owned(),
                standard,
                url,
            ] {
                prop_assert_eq!(parse(&text), Ok(hash), "{}", text);
            }
        }

        #[test]
        fn nothing_else_reads_and_nothing_is_repeated(text in "\\PC{9,80}") {
            let bare = text.trim();
            prop_assume!(hex(bare).is_none());
            if let Err(why) = parse(&text) {
                prop_assert!(!why.contains(bare), "{why}");
            }
        }
    }

    #[test]
    fn what_it_is_instead_is_said() {
        let why = |text: &str| parse(text).expect_err(text);
        assert!(why("$2b$12$abcdefghijklmnopqrstuv").contains("bcrypt"));
        assert!(why(&"a".repeat(40)).contains("SHA-1"));
        assert!(why(&"a".repeat(128)).contains("SHA-512"));
        assert!(why("").contains("is empty"));
        assert!(why("sk_old_secret").contains("printf %s"));
    }
}
