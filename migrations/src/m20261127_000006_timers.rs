//! What is done for keys in time: when it is due, and secrets that are sealed to whoever
//! fetches them.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        manager.create_index(index()).await?;
        // Nothing is due for a key of before earlier than 30 days before it expires (2,592,000
        // seconds) or 90 days after it was made (7,776,000), so that not all of them are looked at
        // at once. Whatever was due since is done soon, and once.
        let known = "INSERT INTO key_timer (key_id, due_time, expiry_told_time, rotation_told_time, unused_check_time) \
                     SELECT key_id, \
                     CASE WHEN expire_time - 2592000000000 < create_time + 7776000000000 \
                     THEN expire_time - 2592000000000 ELSE create_time + 7776000000000 END, \
                     update_time, update_time, create_time + 7776000000000 FROM api_key WHERE revoke_time IS NULL";
        manager.get_connection().execute_unprepared(known).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["sealed_secret", "key_timer"] {
            manager.drop_table(Table::drop().table(Alias::new(name)).to_owned()).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![key_timer(), sealed_secret()]
}

/// Of every key that is not revoked.
fn key_timer() -> TableCreateStatement {
    table("key_timer")
        .col(string("key_id").primary_key())
        // None: nothing, before it is changed.
        .col(big_integer_null("due_time"))
        .col(big_integer("expiry_told_time"))
        .col(big_integer("rotation_told_time"))
        .col(big_integer_null("held_until_time"))
        .col(big_integer("unused_check_time"))
        .col(big_integer_null("unused_told_time"))
        .to_owned()
}

/// The secret of a key that was made by a rotation of the service's own.
fn sealed_secret() -> TableCreateStatement {
    table("sealed_secret")
        .col(string("key_id").primary_key())
        .col(string("recipient_kid"))
        // None: the key was used, or revoked, and nobody gets it any more.
        .col(blob_null("ciphertext"))
        .col(big_integer("create_time"))
        .col(big_integer_null("fetch_time"))
        // When people are told that nobody has fetched it.
        .col(big_integer("remind_time"))
        .col(big_integer_null("gone_time"))
        .to_owned()
}

fn index() -> IndexCreateStatement {
    let table = Alias::new("key_timer");
    Index::create().name("key_timer_by_due_time").table(table).col(Alias::new("due_time")).to_owned()
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_type_exists_on_postgresql_too() {
        let all = tables().iter().map(|table| table.to_string(PostgresQueryBuilder)).collect::<Vec<_>>().join(";\n");
        for word in ["bigint", "varchar", "bytea"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
