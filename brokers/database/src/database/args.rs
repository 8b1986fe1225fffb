//! [`Args`]: the bound parameters of one statement.

use taskcore::JobId;

/// Parameters in the order of their question marks.
#[derive(Debug, Default)]
pub(crate) struct Args {
    values: Vec<Value>,
    bytes: usize,
}

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
    /// All rows of it, one value after the other.
    #[cfg(feature = "mysql")]
    Rows {
        columns: usize,
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
        let value = value.into();
        self.bytes += value.bytes();
        self.values.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// About how many bytes they have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = Value> {
        self.values.into_iter()
    }
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(Some(text)) => text.len(),
            Self::Bytes(Some(bytes)) => bytes.len(),
            Self::Id(_) => 16,
            _ => 8,
        }
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
    use rusqlite::types::Value as Direct;
    use sqlx::Arguments;
    use sqlx::error::BoxDynError;
    use sqlx::sqlite::SqliteArguments;

    use super::{Args, Value};
    use crate::database::json_rows;

    impl Args {
        /// As a direct connection takes them.
        pub(crate) fn into_direct(self) -> Result<Vec<Direct>, sqlx::Error> {
            let values = self.values.into_iter().map(direct);
            values.collect::<Result<_, _>>().map_err(sqlx::Error::Encode)
        }

        pub(in crate::database) fn into_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
            let mut arguments = SqliteArguments::default();
            arguments.reserve(self.values.len(), 0);
            for value in self.values {
                add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }
    }

    fn direct(value: Value) -> Result<Direct, BoxDynError> {
        Ok(match value {
            Value::Integer(value) => value.map_or(Direct::Null, Direct::Integer),
            Value::Text(value) => value.map_or(Direct::Null, Direct::Text),
            Value::Bytes(value) => value.map_or(Direct::Null, Direct::Blob),
            Value::Id(id) => Direct::Blob(id.as_bytes().to_vec()),
            Value::Ids(ids) => Direct::Text(json_rows::ids(&ids)),
            Value::Names(names) => Direct::Text(serde_json::to_string(&names)?),
            #[cfg(feature = "postgres")]
            Value::Column { .. } => return Err("SQLite takes rows and no columns".into()),
            #[cfg(feature = "mysql")]
            Value::Rows { .. } => return Err("SQLite takes rows one by one".into()),
        })
    }

    fn add(arguments: &mut SqliteArguments, value: Value) -> Result<(), BoxDynError> {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Id(id) => arguments.add(id.as_bytes().to_vec()),
            Value::Ids(ids) => arguments.add(json_rows::ids(&ids)),
            Value::Names(names) => arguments.add(serde_json::to_string(&names)?),
            #[cfg(feature = "postgres")]
            Value::Column { .. } => Err("SQLite takes rows and no columns".into()),
            #[cfg(feature = "mysql")]
            Value::Rows { .. } => Err("SQLite takes rows one by one".into()),
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
            for value in self.values {
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
            #[cfg(feature = "mysql")]
            Value::Rows { .. } => Err("PostgreSQL takes columns and no rows".into()),
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

#[cfg(feature = "mysql")]
mod mysql {
    use sqlx::Arguments;
    use sqlx::error::BoxDynError;
    use sqlx::mysql::MySqlArguments;

    use super::{Args, Value};
    use crate::database::json_rows;

    impl Args {
        pub(in crate::database) fn into_mysql(self) -> Result<MySqlArguments, sqlx::Error> {
            let mut arguments = MySqlArguments::default();
            for value in self.values {
                add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }
    }

    fn add(arguments: &mut MySqlArguments, value: Value) -> Result<(), BoxDynError> {
        match value {
            Value::Integer(value) => arguments.add(value),
            // As bytes, which columns of ours hold: letters would be compared by a collation.
            Value::Text(value) => arguments.add(value.map(String::into_bytes)),
            Value::Bytes(value) => arguments.add(value),
            Value::Id(id) => arguments.add(id.as_bytes().to_vec()),
            Value::Ids(ids) => arguments.add(json_rows::ids(&ids)),
            Value::Names(names) => arguments.add(serde_json::to_string(&names)?),
            Value::Rows { columns, values } => arguments.add(json_rows::rows(columns, &values)?),
            #[cfg(feature = "postgres")]
            Value::Column { .. } => Err("MySQL takes rows and no columns".into()),
        }
    }
}
