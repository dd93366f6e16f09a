//! Webhooks, and what is on its way to them and to mailboxes.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

/// Which of them are old.
const NOTICES: &str = "notice_by_time";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        // Behind what was numbered before.
        let begin = "INSERT INTO notice_head (id, seq) SELECT 1, coalesce(max(seq), 0) FROM notice";
        manager.get_connection().execute_unprepared(begin).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(NOTICES).table(Alias::new("notice")).to_owned()).await?;
        for name in ["notice_head", "delivery", "webhook"] {
            manager.drop_table(Table::drop().table(Alias::new(name)).to_owned()).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![webhook(), delivery(), notice_head()]
}

/// The number of the last notice.
fn notice_head() -> TableCreateStatement {
    table("notice_head").col(small_integer("id").primary_key()).col(big_integer("seq")).to_owned()
}

/// Secrets are encrypted. `failing_since` is the first failure behind the last success.
fn webhook() -> TableCreateStatement {
    table("webhook")
        .col(string("webhook_id").primary_key())
        .col(string_null("application_id"))
        .col(text("url"))
        .col(json_binary("event_types"))
        .col(text("description"))
        .col(string("disabled"))
        .col(big_integer_null("failing_since"))
        .col(blob("secret"))
        .col(blob_null("old_secret"))
        .col(big_integer_null("old_secret_until"))
        .col(big_integer("create_time"))
        .col(big_integer("update_time"))
        .col(big_integer("revision"))
        .to_owned()
}

/// `destination` is a webhook's id or a mailbox; `seq` is the notice's, and within
/// destination and `order_key` they go in its order: the first one is `pending`, those behind
/// it are `queued`.
fn delivery() -> TableCreateStatement {
    table("delivery")
        .col(string("delivery_id").primary_key())
        .col(string("channel"))
        .col(string("destination"))
        .col(uuid("notice_id"))
        .col(big_integer("seq"))
        .col(string("kind"))
        .col(string("application_id"))
        .col(string("order_key"))
        .col(string("state"))
        .col(integer("attempts"))
        .col(big_integer("create_time"))
        .col(big_integer("give_up_time"))
        .col(big_integer("next_attempt_time"))
        .col(uuid_null("claimed_by"))
        .col(big_integer("claimed_until"))
        .col(big_integer_null("last_attempt_time"))
        .col(integer_null("last_status"))
        .col(text("last_error"))
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // Of an application.
        index("webhook_by_application", "webhook", &["application_id", "webhook_id"]),
        // What is due, destination by destination.
        index("delivery_by_turn", "delivery", &["channel", "state", "destination", "next_attempt_time", "seq"]),
        // What is behind another one.
        index("delivery_by_order", "delivery", &["destination", "state", "order_key", "seq"]),
        // What is old.
        index("delivery_by_age", "delivery", &["state", "create_time"]),
        // For lists, and what is left of a deleted webhook.
        index("delivery_by_destination", "delivery", &["channel", "destination", "seq"]),
        // What is to be kept of notices.
        index("delivery_by_notice", "delivery", &["notice_id"]),
        index(NOTICES, "notice", &["time"]),
    ]
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(table)).to_owned();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
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
        for word in ["jsonb", "bigint", "uuid", "varchar", "bytea", "integer"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
