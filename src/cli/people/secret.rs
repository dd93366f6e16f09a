//! A secret that is given to a command: never as an argument, which every user of the machine sees
//! in the list of processes, and a shell keeps in its history.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
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
    let line = if stdin.is_terminal() { prompted("secret (it is not shown): ") } else { first_line(stdin.lock()) };
    let line = line.map_err(|e| Failure::Usage(format!("cannot read the secret: {e}")))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("no secret: standard input is empty")),
        secret => Ok(secret.into()),
    }
}

/// Switches the echo off first: what is typed as soon as the prompt is there is not shown either.
fn prompted(prompt: &str) -> io::Result<Zeroizing<String>> {
    let echo = NoEcho::begin()?;
    write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush())?;
    let line = first_line(io::stdin().lock());
    drop(echo);
    // The end of the line was not shown either.
    writeln!(io::stderr())?;
    line
}

/// A terminal that shows what is typed again when this is dropped.
struct NoEcho(Termios);

impl NoEcho {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
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
