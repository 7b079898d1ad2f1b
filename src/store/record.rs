//! One line of the journal: `{"crc":"0a1b2c3d","seq":7,"row":"o/hold/default/web-x1","value":{..}}`.
//!
//! Every line stands for itself: a whole row, or `"gone":true` in place of the value. The checksum is over the bytes behind
//! it, so that a line is proven before it is parsed.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

const HEAD: &[u8] = b"{\"crc\":\"";
const CRC_DIGITS: usize = 8;
const AFTER_CRC: &[u8] = b"\",";
const ROW: &[u8] = b"\"row\":\"";

/// A row as one write left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Sequence number of the write.
    pub seq: u64,
    /// Name of the row.
    pub row: String,
    /// Its text; `None`: it was removed.
    pub text: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    seq: u64,
    #[serde(borrow)]
    row: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    gone: bool,
}

impl Record {
    /// Appends the record as one line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let row = serde_json::Value::from(self.row.as_str());
        let body = match &self.text {
            Some(text) => format!("\"seq\":{},\"row\":{row},\"value\":{text}}}", self.seq),
            None => format!("\"seq\":{},\"row\":{row},\"gone\":true}}", self.seq),
        };
        out.extend_from_slice(HEAD);
        out.extend_from_slice(format!("{:08x}", crc32fast::hash(body.as_bytes())).as_bytes());
        out.extend_from_slice(AFTER_CRC);
        out.extend_from_slice(body.as_bytes());
        out.push(b'\n');
    }

    /// Reads a line (without its line end); `None` if it is not whole.
    pub fn read(line: &[u8]) -> Option<Self> {
        let (digits, rest) = line.strip_prefix(HEAD)?.split_at_checked(CRC_DIGITS)?;
        let crc = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let rest = rest.strip_prefix(AFTER_CRC)?;
        if crc32fast::hash(rest) != crc {
            return None;
        }
        let body: Vec<u8> = [b"{", rest].concat();
        let body: Body<'_> = serde_json::from_slice(&body).ok()?;
        let text = (!body.gone).then(|| body.value.map_or("null", RawValue::get).into());
        Some(Self { seq: body.seq, row: body.row.into_owned(), text })
    }

    /// The name of the row that a line speaks of, as far as it can be made out though the line is not whole.
    pub fn row_named(line: &[u8]) -> Option<String> {
        let at = line.windows(ROW.len()).position(|part| part == ROW)? + ROW.len();
        let name = line[at..].split(|byte| *byte == b'"').next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// How many records begin in these bytes.
    pub fn starts_in(bytes: &[u8]) -> usize {
        bytes.windows(HEAD.len()).filter(|part| *part == HEAD).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        record.write(&mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_is_json_and_reads_back() {
        for text in [Some(r#"{"spec":{"a":"line\nend \"é\""},"n":1.50}"#), Some("null"), None] {
            let record = Record { seq: 7, row: "n/a \"b\"".into(), text: text.map(Into::into) };
            let line = line(&record);
            serde_json::from_slice::<serde_json::Value>(&line).unwrap();
            assert_eq!(Record::read(&line), Some(record));
        }
    }

    #[test]
    fn a_line_with_any_bit_flipped_or_any_end_cut_off_is_not_read() {
        let line = line(&Record { seq: 7, row: "n/a".into(), text: Some(r#"{"b":1}"#.into()) });
        for index in 0..line.len() {
            assert_eq!(Record::read(&line[..index]), None);
            for bit in 0..8 {
                let mut flipped = line.clone();
                flipped[index] ^= 1 << bit;
                let digit = (HEAD.len()..HEAD.len() + CRC_DIGITS).contains(&index);
                // The case of a hexadecimal digit of the checksum says nothing.
                if !(digit && flipped.eq_ignore_ascii_case(&line)) {
                    assert_eq!(Record::read(&flipped), None, "byte {index} bit {bit}");
                }
            }
        }
    }
}
