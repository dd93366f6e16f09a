use crate::store::Error;

/// An enum as it is stored. Writing is exhaustive: a variant without a word does not build.
pub(super) trait Word: Copy + 'static {
    const ALL: &'static [Self];

    fn word(self) -> &'static str;

    fn read(word: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|value| value.word() == word).ok_or_else(|| super::corrupt("word", word))
    }
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}
