//! What JSON cannot carry, refused where it is written instead of changed or unreadable.

use std::fmt;
use std::io;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Error;
use serde_json::ser::Formatter;

/// Writes a value as compact JSON.
///
/// # Errors
///
/// If the value has no JSON form, is NaN or an infinity anywhere, or is nested deeper than
/// serde_json reads.
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(128);
    append(&mut bytes, value, 0)?;
    Ok(bytes)
}

/// Writes a value as compact JSON behind what is there, which it lies `depth` levels deep in.
///
/// # Errors
///
/// As for [`to_vec`]; then what was written is no JSON.
pub(crate) fn append<T: Serialize + ?Sized>(
    bytes: &mut Vec<u8>,
    value: &T,
    depth: u32,
) -> Result<(), Error> {
    let mut compact = Compact { depth, has_null: false };
    value.serialize(&mut serde_json::Serializer::with_formatter(bytes, &mut compact))?;
    // Only what was written as null can be a float that is none.
    if compact.has_null {
        value.serialize(Finite)?;
    }
    Ok(())
}

/// serde_json reads 127 levels (version 1.0, without `unbounded_depth`).
const DEPTH: u32 = 127;

/// Compact JSON, as without a formatter, with an eye on what is written.
struct Compact {
    depth: u32,
    has_null: bool,
}

impl Compact {
    fn enter(&mut self) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= DEPTH {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it is nested deeper than {DEPTH} levels, which cannot be read back: flatten it, or pass it as text"
        )))
    }
}

impl Formatter for &mut Compact {
    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.has_null = true;
        writer.write_all(b"null")
    }

    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"]")
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"}")
    }
}

/// Writes nothing, and refuses floats that serde_json writes as `null`.
///
/// Own code, because `null` is all that a formatter sees of them, and serde_json has no switch
/// (<https://github.com/serde-rs/json/issues/985>).
#[derive(Clone, Copy)]
struct Finite;

/// Accepts values that JSON carries as they are.
macro_rules! accept {
    ($($method:ident($($value:ty),*);)*) => {$(
        fn $method(self, $(_: $value),*) -> Result<(), Error> {
            Ok(())
        }
    )*};
}

/// Opens a compound, whose parts are looked at one by one.
macro_rules! open {
    ($($compound:ident = $method:ident($($value:ty),*);)*) => {$(
        type $compound = Self;

        fn $method(self, $(_: $value),*) -> Result<Self, Error> {
            Ok(self)
        }
    )*};
}

impl Serializer for Finite {
    type Ok = ();
    type Error = Error;

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::custom(format_args!(
            "NaN and infinities have no JSON form, and one number is {value}: pass an `Option`, or text"
        )))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Error> {
        Ok(())
    }

    accept! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    open! {
        SerializeSeq = serialize_seq(Option<usize>);
        SerializeTuple = serialize_tuple(usize);
        SerializeTupleStruct = serialize_tuple_struct(&'static str, usize);
        SerializeTupleVariant = serialize_tuple_variant(&'static str, u32, &'static str, usize);
        SerializeMap = serialize_map(Option<usize>);
        SerializeStruct = serialize_struct(&'static str, usize);
        SerializeStructVariant = serialize_struct_variant(&'static str, u32, &'static str, usize);
    }
}

/// Looks at each part of a compound.
macro_rules! parts {
    ($($compound:ident: $($method:ident($($key:ty)?)),+;)*) => {$(
        impl $compound for Finite {
            type Ok = ();
            type Error = Error;

            $(fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $key,)?
                value: &T,
            ) -> Result<(), Error> {
                value.serialize(*self)
            })+

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        One(Option<f64>),
        Two(f32, ()),
        Named { size: Option<f64> },
    }

    /// `null` in this many arrays.
    fn nested(levels: u32) -> Value {
        (0..levels).fold(Value::Null, |inner, _| json!([inner]))
    }

    #[test]
    fn what_json_carries_is_written_as_serde_json_writes_it() {
        let shapes = (
            [Shape::Unit, Shape::One(None), Shape::Two(1.5, ()), Shape::Named { size: None }],
            BTreeMap::from([(1, Some("a\"b")), (2, None)]),
            (u128::MAX, i128::MIN, 'x', [0_u8; 0], json!({"deep": [[], {}, null, 0.1]})),
        );
        let written = to_vec(&shapes).unwrap();
        assert_eq!(written, serde_json::to_vec(&shapes).unwrap());
    }

    #[test]
    fn a_float_that_is_no_number_is_refused_wherever_it_is() {
        let map = BTreeMap::from([("a", f64::NEG_INFINITY)]);
        let refused = [
            to_vec(&f64::NAN),
            to_vec(&f32::INFINITY),
            to_vec(&Some(f64::INFINITY)),
            to_vec(&map),
            to_vec(&[Shape::Unit, Shape::One(Some(f64::NAN))]),
            to_vec(&Shape::Two(f32::NAN, ())),
            to_vec(&Shape::Named { size: Some(f64::INFINITY) }),
        ];
        for refused in refused {
            let error = refused.unwrap_err().to_string();
            assert!(error.starts_with("NaN and infinities have no JSON form"), "{error}");
        }
    }

    #[test]
    fn what_is_written_can_be_read_however_deep_it_is() {
        let deepest = to_vec(&nested(DEPTH)).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&deepest).unwrap(), nested(DEPTH));
        let error = to_vec(&nested(DEPTH + 1)).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 127 levels"), "{error}");
        // The limit is serde_json's: without it the value could not be read back.
        let deeper = serde_json::to_vec(&nested(DEPTH + 1)).unwrap();
        assert!(serde_json::from_slice::<Value>(&deeper).is_err());
    }
}
