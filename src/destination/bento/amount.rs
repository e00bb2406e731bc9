//! Money: from a decimal text to minor units.
//!
//! Digits are moved, never multiplied: 19.99 is 1999, where a float's hundredfold is 1998.9999999999998. Decimals beyond the
//! currency's are rounded half away from zero, as on a bill: 7.985 EUR is 799.

/// Digits after the point, by ISO 4217, where they are not 2.
const EXPONENTS: [(u8, &[&str]); 3] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
            "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (4, &["CLF", "UYW"]),
];

/// A currency, as it is sent: three capital letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Currency(String);

impl Currency {
    /// The currency of a code; `None` if it is not three letters.
    pub(super) fn of(code: &str) -> Option<Currency> {
        let code = code.trim();
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_code.then(|| Currency(code.to_ascii_uppercase()))
    }

    /// Its code.
    pub(super) fn code(&self) -> &str {
        &self.0
    }

    /// Digits after the point. A code that nobody knows has 2, like most.
    fn exponent(&self) -> u8 {
        EXPONENTS
            .iter()
            .find(|(_, codes)| codes.contains(&self.code()))
            .map_or(2, |(exponent, _)| *exponent)
    }

    /// An amount of it in minor units. `Err` says what is wrong with the text.
    pub(super) fn minor_units(&self, text: &str) -> Result<i64, &'static str> {
        let decimal = Decimal::of(text.trim()).ok_or("it is not a decimal number")?;
        decimal
            .shifted(i64::from(self.exponent()))
            .ok_or("it is larger than any amount")
    }
}

/// A decimal number as it is spelt: its digits, and by how many places the point lies left of their end.
struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl Decimal<'_> {
    /// Takes `-12.50e1` apart, and the looser forms that feeds write in strings: `+1`, `007.5`, `.5`, `5.`.
    fn of(text: &str) -> Option<Decimal<'_>> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, power(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = are_digits(whole) && are_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
        is_number.then_some(Decimal {
            is_negative,
            whole,
            fraction,
            exponent,
        })
    }

    /// The number with its point moved to the right, rounded half away from zero. `None` beyond what an `i64` holds. However
    /// large the exponent, no more is done than to look at the digits.
    fn shifted(&self, places: i64) -> Option<i64> {
        let digits = || {
            self.whole
                .bytes()
                .chain(self.fraction.bytes())
                .skip_while(|&digit| digit == b'0')
        };
        let count = i64::try_from(digits().count()).ok()?;
        if count == 0 {
            return Some(0);
        }
        let fraction = i64::try_from(self.fraction.len()).ok()?;
        let right = self.exponent.saturating_add(places).saturating_sub(fraction);
        // Digits before the point, once it is moved. An `i64` has 19.
        let before = count.saturating_add(right);
        if before < 0 {
            return Some(0);
        }
        if before > 19 {
            return None;
        }
        let mut units: i128 = 0;
        for digit in digits()
            .chain(std::iter::repeat(b'0'))
            .take(usize::try_from(before).ok()?)
        {
            units = units * 10 + i128::from(digit - b'0');
        }
        if digits()
            .nth(usize::try_from(before).ok()?)
            .is_some_and(|next| next >= b'5')
        {
            units += 1;
        }
        i64::try_from(if self.is_negative { -units } else { units }).ok()
    }
}

/// An exponent. One that no `i64` holds is as good as the largest.
fn power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !are_digits(digits) {
        return None;
    }
    let beyond = if text.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    };
    Some(text.parse().unwrap_or(beyond).clamp(i64::MIN / 2, i64::MAX / 2))
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str, code: &str) -> Result<i64, &'static str> {
        Currency::of(code).expect("a code").minor_units(text)
    }

    #[test]
    fn amounts() {
        let check = |text: &str, code: &str, expect: i64| assert_eq!(units(text, code), Ok(expect), "{text} {code}");
        check("7.98", "EUR", 798);
        check("1200", "JPY", 1200);
        check("1.5", "KWD", 1500);
        check("19.99", "USD", 1999);
        check("8.2", "EUR", 820);
        check("46.13", "EUR", 4613);
        check("1.00005", "CLF", 10_001);
        check("0.29", "EUR", 29);
        check("1e2", "EUR", 10_000);
        check("1.0E+1", "EUR", 1000);
        check("1.5e-1", "EUR", 15);
        check("-5.00", "EUR", -500);
        check("-0.00", "EUR", 0);
        check("0", "EUR", 0);
        check("  7.98 ", "EUR", 798);
        check("+7.98", "EUR", 798);
        check("007.98", "EUR", 798);
        check(".5", "EUR", 50);
        check("5.", "EUR", 500);
        check("0.000000000000000000000000000001e32", "EUR", 10_000);
        check("5.00", "ZZZ", 500);
        check("5.00", "eur", 500);
    }

    proptest! {
        #[test]
        fn every_amount_comes_back(minor in any::<i64>(), zeros in 0..40usize) {
            let sign = if minor < 0 { "-" } else { "" };
            let digits = minor.unsigned_abs();
            let plain = format!("{sign}{}.{:02}{}", digits / 100, digits % 100, "0".repeat(zeros));
            prop_assert_eq!(units(&plain, "EUR"), Ok(minor));
            // All of them behind the point, and the point moved back.
            let moved = digits.to_string().len() + zeros;
            let shifted = format!("{sign}0.{}{digits}e+{moved}", "0".repeat(zeros));
            prop_assert_eq!(units(&shifted, "JPY"), Ok(minor));
        }
    }

    #[test]
    fn half_goes_away_from_zero() {
        let check = |text: &str, code: &str, expect: i64| assert_eq!(units(text, code), Ok(expect), "{text} {code}");
        check("7.985", "EUR", 799);
        check("7.984999999999999999999999", "EUR", 798);
        check("-7.985", "EUR", -799);
        check("0.005", "EUR", 1);
        check("-0.005", "EUR", -1);
        check("0.004", "EUR", 0);
        check("0.0009", "EUR", 0);
        check("9.995", "EUR", 1000);
        check("1199.5", "JPY", 1200);
        check("0.5", "JPY", 1);
        check("1e-999999999999999999999999", "EUR", 0);
    }

    #[test]
    fn the_largest() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(units(text, "JPY").ok(), expect, "{text}");
        check("9223372036854775807", Some(i64::MAX));
        check("9223372036854775807.4", Some(i64::MAX));
        check("9223372036854775807.5", None);
        check("-9223372036854775808", Some(i64::MIN));
        check("-9223372036854775809", None);
        check("1e18", Some(1_000_000_000_000_000_000));
        check("1e19", None);
        check("1e999999999", None);
        check("1e99999999999999999999999999", None);
        check("0e99999999999999999999999999", Some(0));
        check(&format!("{}1", "0".repeat(100_000)), Some(1));
        check(&"9".repeat(100_000), None);
        check(&format!("1.{}", "0".repeat(100_000)), Some(1));
    }

    #[test]
    fn no_amounts() {
        for text in [
            "", ".", "-", "e5", "1e", "1e+", "1e-+5", "7,98", "1 000", "7.98 EUR", "€5", "0x10", "NaN", "1.2.3", "--1",
            "٣",
        ] {
            assert_eq!(units(text, "EUR"), Err("it is not a decimal number"), "{text}");
        }
    }

    #[test]
    fn codes() {
        let check = |code: &str, expect: Option<&str>| {
            assert_eq!(Currency::of(code).as_ref().map(Currency::code), expect, "{code}");
        };
        check("EUR", Some("EUR"));
        check(" eur ", Some("EUR"));
        check("€", None);
        check("EURO", None);
        check("", None);
        check("1EU", None);
    }

    #[test]
    fn exponents_are_of_codes_that_are_there_once() {
        let mut codes: Vec<&str> = EXPONENTS.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(codes.iter().all(|code| Currency::of(code).is_some()));
    }
}
