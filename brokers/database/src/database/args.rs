//! [`Args`]: the bound parameters of one statement.

use taskcore::JobId;

/// Parameters in the order of their question marks.
#[derive(Debug, Default)]
pub(crate) struct Args(Vec<Value>);

/// One parameter. A null has a type too: PostgreSQL asks for one.
#[derive(Debug)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Id(JobId),
    /// What `{ids}` stands for.
    Ids(Vec<JobId>),
    /// What `{names}` stands for.
    Names(Vec<String>),
    /// A column of the input of a [`Bulk`](super::bulk::Bulk), all of one type.
    #[cfg(feature = "postgres")]
    Column {
        kind: &'static str,
        values: Vec<Self>,
    },
}

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter, and gives the rest back for the next one.
    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        self.push(value);
        self
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, value: impl Into<Value>) {
        self.0.push(value.into());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = Value> {
        self.0.into_iter()
    }
}

macro_rules! values {
    ($($of:ty, $value:ident => $made:expr;)*) => {
        $(impl From<$of> for Value {
            fn from($value: $of) -> Self {
                $made
            }
        })*
    };
}

values! {
    i64, value => Self::Integer(Some(value));
    bool, value => Self::Integer(Some(i64::from(value)));
    Option<i64>, value => Self::Integer(value);
    &str, value => Self::Text(Some(value.to_owned()));
    String, value => Self::Text(Some(value));
    Option<&str>, value => Self::Text(value.map(str::to_owned));
    Option<String>, value => Self::Text(value);
    &[u8], value => Self::Bytes(Some(value.to_vec()));
    Vec<u8>, value => Self::Bytes(Some(value));
    Option<&[u8]>, value => Self::Bytes(value.map(<[u8]>::to_vec));
    JobId, value => Self::Id(value);
    &JobId, value => Self::Id(*value);
    Vec<JobId>, value => Self::Ids(value);
    Vec<String>, value => Self::Names(value);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx::Arguments;
    use sqlx::error::BoxDynError;
    use sqlx::sqlite::SqliteArguments;
    use taskcore::JobId;

    use super::{Args, Value};

    impl Args {
        pub(in crate::database) fn into_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
            let mut arguments = SqliteArguments::default();
            arguments.reserve(self.0.len(), 0);
            for value in self.0 {
                add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }
    }

    fn add(arguments: &mut SqliteArguments, value: Value) -> Result<(), BoxDynError> {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Id(id) => arguments.add(id.as_bytes().to_vec()),
            Value::Ids(ids) => arguments.add(hexadecimal(&ids)),
            Value::Names(names) => arguments.add(serde_json::to_string(&names)?),
            #[cfg(feature = "postgres")]
            Value::Column { .. } => Err("SQLite takes rows and no columns".into()),
        }
    }

    /// Ids as `json_each` and `unhex` take them.
    fn hexadecimal(ids: &[JobId]) -> String {
        let mut list = String::with_capacity(ids.len() * 35 + 2);
        list.push('[');
        for (place, id) in ids.iter().enumerate() {
            list.push_str(if place == 0 { "\"" } else { ",\"" });
            for byte in id.as_bytes() {
                for nibble in [byte >> 4, byte & 0xf] {
                    list.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
                }
            }
            list.push('"');
        }
        list.push(']');
        list
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn ids_become_a_list_of_hexadecimal_texts() {
            let ids = [JobId::from_bytes([0xab; 16]), JobId::from_bytes([0x01; 16])];
            let list = format!("[\"{}\",\"{}\"]", "ab".repeat(16), "01".repeat(16));
            assert_eq!(hexadecimal(&ids), list);
            assert_eq!(hexadecimal(&[]), "[]");
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx::Arguments;
    use sqlx::error::BoxDynError;
    use sqlx::postgres::PgArguments;
    use sqlx::types::Uuid;
    use taskcore::JobId;

    use super::{Args, Value};
    use crate::database::zeroless;

    impl Args {
        pub(in crate::database) fn into_postgres(self) -> Result<PgArguments, sqlx::Error> {
            let mut arguments = PgArguments::default();
            for value in self.0 {
                add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }
    }

    fn add(arguments: &mut PgArguments, value: Value) -> Result<(), BoxDynError> {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value.map(zeroless::encoded)),
            Value::Bytes(value) => arguments.add(value),
            Value::Id(id) => arguments.add(uuid(id)),
            Value::Ids(ids) => arguments.add(ids.into_iter().map(uuid).collect::<Vec<_>>()),
            Value::Names(names) => arguments.add(names),
            Value::Column { kind, values } => add_column(arguments, kind, values),
        }
    }

    fn add_column(
        arguments: &mut PgArguments,
        kind: &str,
        values: Vec<Value>,
    ) -> Result<(), BoxDynError> {
        macro_rules! column {
            ($($pattern:pat => $value:expr),+) => {
                arguments.add(values.into_iter().map(|value| match value {
                    $($pattern => $value,)+
                    // A null of any type.
                    _ => None,
                }).collect::<Vec<_>>())
            };
        }
        match kind {
            "int" => column!(Value::Integer(value) => value),
            "text" => column!(Value::Text(value) => value.map(zeroless::encoded)),
            "bytes" => column!(Value::Bytes(value) => value),
            _ => column!(Value::Id(id) => Some(uuid(id))),
        }
    }

    fn uuid(id: JobId) -> Uuid {
        Uuid::from_bytes(*id.as_bytes())
    }
}
