//! A secret that is given to a command: never as an argument, which every user of the machine sees
//! in the list of processes, and a shell keeps in its history.

use std::io::{self, BufRead, IsTerminal as _};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::cli::failure::Failure;

/// No text of a key is longer.
const MAX: u64 = 8 * 1024;

pub(in crate::cli) const REFUSED: &str = "a secret in an argument is seen in the list of processes, and kept in the shell's history: \
     let it come from standard input, as in `printf '%s' \"$secret\" | portcullis key verify`, or run the command without it and \
     paste it; if this one was real, rotate the key";

/// The first line of standard input, or what is typed at a prompt that does not show it.
pub(in crate::cli) fn read() -> Result<SecretString, Failure> {
    let stdin = io::stdin();
    let line = if stdin.is_terminal() {
        rpassword::prompt_password("secret (it is not shown): ").map(Zeroizing::new)
    } else {
        first_line(stdin.lock())
    };
    let line = line.map_err(|e| Failure::Usage(format!("cannot read the secret: {e}")))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("no secret: standard input is empty")),
        secret => Ok(secret.into()),
    }
}

fn first_line(from: impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    from.take(MAX + 1).read_line(&mut line)?;
    if line.len() as u64 > MAX { Err(io::Error::other("it is longer than any secret")) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_line_is_read_and_no_more() {
        assert_eq!(first_line(&b"sk_live_x\nmore"[..]).expect("a line").as_str(), "sk_live_x\n");
        assert!(first_line(io::BufReader::new(io::repeat(b'x').take(1 << 20))).is_err());
    }
}
