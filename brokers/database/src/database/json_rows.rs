//! Lists as one parameter: JSON texts, for databases that take no arrays.

#[cfg(feature = "mysql")]
use base64::Engine as _;
#[cfg(feature = "mysql")]
use base64::engine::general_purpose::STANDARD;
use taskcore::JobId;

#[cfg(feature = "mysql")]
use super::args::Value;

/// Ids as a list of hexadecimal texts.
pub(super) fn ids(ids: &[JobId]) -> String {
    let mut list = String::with_capacity(ids.len() * 35 + 2);
    list.push('[');
    for (place, id) in ids.iter().enumerate() {
        if place > 0 {
            list.push(',');
        }
        push_id(&mut list, id);
    }
    list.push(']');
    list
}

fn push_id(list: &mut String, id: &JobId) {
    list.push('"');
    list.push_str(&hex::encode(id.as_bytes()));
    list.push('"');
}

/// Values as a list of rows, each a list of so many: bytes as base64, ids as hexadecimal texts.
#[cfg(feature = "mysql")]
pub(super) fn rows(columns: usize, values: &[Value]) -> Result<String, serde_json::Error> {
    let mut list = String::with_capacity(values.len() * 24 + 2);
    list.push('[');
    for (place, row) in values.chunks(columns).enumerate() {
        list.push_str(if place > 0 { ",[" } else { "[" });
        for (place, value) in row.iter().enumerate() {
            if place > 0 {
                list.push(',');
            }
            push(&mut list, value)?;
        }
        list.push(']');
    }
    list.push(']');
    Ok(list)
}

#[cfg(feature = "mysql")]
fn push(list: &mut String, value: &Value) -> Result<(), serde_json::Error> {
    match value {
        Value::Integer(Some(value)) => list.push_str(&value.to_string()),
        Value::Text(Some(text)) => list.push_str(&serde_json::to_string(text)?),
        Value::Bytes(Some(bytes)) => {
            list.push('"');
            STANDARD.encode_string(bytes, list);
            list.push('"');
        }
        Value::Id(id) => push_id(list, id),
        _ => list.push_str("null"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_a_list_of_hexadecimal_texts() {
        let two = [JobId::from_bytes([0xab; 16]), JobId::from_bytes([0x01; 16])];
        let list = format!("[\"{}\",\"{}\"]", "ab".repeat(16), "01".repeat(16));
        assert_eq!(ids(&two), list);
        assert_eq!(ids(&[]), "[]");
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn values_become_rows_of_json() {
        let values: Vec<Value> =
            vec![7.into(), "a \"b\" \0".into(), None::<i64>.into(), vec![0_u8, 255].into()];
        let list = "[[7,\"a \\\"b\\\" \\u0000\"],[null,\"AP8=\"]]";
        assert_eq!(rows(2, &values).unwrap(), list);
    }
}
