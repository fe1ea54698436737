//! Options of `run` that are more than a number.

use std::str::FromStr;

/// When a failure, or a success, ends all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Halt {
    Never,
    /// Kill what runs, or only start nothing more.
    When {
        now: bool,
        failing: bool,
        most: Share,
    },
}

/// So many, or so many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Share {
    Count(u64),
    Percent(f64),
}

impl Share {
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Share::Count(count) => count,
            Share::Percent(percent) => (total as f64 * percent / 100.0) as u64,
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong = || format!("invalid number or percentage {text:?} (examples: 3, 10%)");
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent) if (0.0..=f64::MAX).contains(&percent) => Ok(Share::Percent(percent)),
                _ => Err(wrong()),
            },
            None => text.parse().map(Share::Count).map_err(|_| wrong()),
        }
    }
}

impl FromStr for Halt {
    type Err = String;

    /// `never`, `now,fail=1`, `soon,fail=10%`, `now,success=1`
    fn from_str(text: &str) -> Result<Halt, String> {
        if text == "never" {
            return Ok(Halt::Never);
        }
        let wrong = || {
            format!(
                "invalid condition {text:?} (examples: never; now,fail=1; soon,fail=10%; now,success=1)"
            )
        };
        let (when, what) = text.split_once(',').ok_or_else(wrong)?;
        let (kind, most) = what.split_once('=').ok_or_else(wrong)?;
        Ok(Halt::When {
            now: match when {
                "now" => true,
                "soon" => false,
                _ => return Err(wrong()),
            },
            failing: match kind {
                "fail" => true,
                "success" => false,
                _ => return Err(wrong()),
            },
            most: most.parse()?,
        })
    }
}

/// Reads a number of bytes: 512, 64K, 100M, 2G.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("invalid size {text:?} (examples: 512, 64K, 100M, 2G)");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// How many jobs at once: a number, a percentage of the processors, or `+N` and `-N`
/// more or fewer than there are.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    let processors = procession::pool::default_workers();
    let wrong = || format!("invalid number of jobs {text:?} (examples: 8, 50%, +2, -1)");
    if let Some(more) = text.strip_prefix('+') {
        let more: usize = more.parse().map_err(|_| wrong())?;
        return Ok(processors.saturating_add(more));
    }
    if let Some(fewer) = text.strip_prefix('-') {
        let fewer: usize = fewer.parse().map_err(|_| wrong())?;
        return Ok(processors.saturating_sub(fewer).max(1));
    }
    match text.parse::<Share>().map_err(|_| wrong())? {
        // As many as there are.
        Share::Count(0) => Ok(1024),
        share => {
            let count = usize::try_from(share.of(processors as u64));
            Ok(count.unwrap_or(usize::MAX).max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_or_refused() {
        assert_eq!("never".parse(), Ok(Halt::Never));
        let halt = Halt::When {
            now: true,
            failing: true,
            most: Share::Count(1),
        };
        assert_eq!("now,fail=1".parse(), Ok(halt));
        assert!("later,fail=1".parse::<Halt>().is_err());
        assert!("now,fail".parse::<Halt>().is_err());
        assert_eq!(size("64K"), Ok(65536));
        assert!(size("64X").is_err() && size("99999999999T").is_err());
        assert_eq!(jobs("7"), Ok(7));
        assert!(jobs("x").is_err());
        assert_eq!(Share::Percent(50.0).of(9), 4);
    }

    #[test]
    fn extremes_have_a_meaning_or_are_refused() {
        let processors = procession::pool::default_workers();
        assert_eq!(jobs("1000000000"), Ok(1_000_000_000));
        assert_eq!(jobs("200%"), Ok(processors * 2));
        assert_eq!((jobs("0%"), jobs("1e-300%")), (Ok(1), Ok(1)));
        assert_eq!(jobs("1e300%"), Ok(usize::MAX));
        assert_eq!(jobs("-18446744073709551615"), Ok(1));
        assert_eq!(jobs("+18446744073709551615"), Ok(usize::MAX));
        for wrong in [
            "18446744073709551616",
            "+18446744073709551616",
            "nan%",
            "inf%",
            "-1%",
            "%",
            "",
            "+",
            "-",
            "1.5",
        ] {
            assert!(jobs(wrong).is_err(), "{wrong}");
        }
        assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(size("17179869183G"), Ok(u64::MAX - (1 << 30) + 1));
        for wrong in [
            "18446744073709551616",
            "17179869184G",
            "-1",
            "1.5G",
            "",
            "G",
            "1Ä",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Share::Percent(f64::MAX).of(u64::MAX), u64::MAX);
        for wrong in [
            "now,fail=",
            "now,fail=nan%",
            "now,fail=-1",
            "now,fail=18446744073709551616",
        ] {
            assert!(wrong.parse::<Halt>().is_err(), "{wrong}");
        }
    }
}
