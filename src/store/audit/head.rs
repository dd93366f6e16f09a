use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, Statement, TryGetable as _,
    sea_query::Expr,
};

use crate::store::{Error, entity::audit_head};

const HEAD: i16 = 1;

/// Takes the next places, so many of them: the number of the last, and the hash of the event
/// before the first. The row's lock is held to the end of the transaction, so the order of
/// places is the order of commits, on every engine. Always taken behind the log's own head:
/// two locks in two orders would be a deadlock.
pub(super) async fn advance(db: &impl ConnectionTrait, by: i64) -> Result<(i64, Vec<u8>), Error> {
    let sql = format!("UPDATE audit_head SET seq = seq + {by} WHERE id = 1 RETURNING seq, hash");
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = rows.first().ok_or_else(missing)?;
    let seq = i64::try_get_by(row, "seq").map_err(DbErr::from)?;
    let hash = Vec::<u8>::try_get_by(row, "hash").map_err(DbErr::from)?;
    Ok((seq, hash))
}

/// Says which hash the event in the last place has.
pub(super) async fn seal(db: &impl ConnectionTrait, hash: &[u8]) -> Result<(), Error> {
    let sealed = audit_head::Entity::update_many()
        .col_expr(audit_head::Column::Hash, Expr::value(hash.to_vec()))
        .filter(audit_head::Column::Id.eq(HEAD))
        .exec(db)
        .await?;
    if sealed.rows_affected == 1 { Ok(()) } else { Err(missing()) }
}

/// The last place, and the hash of the event in it.
pub(super) async fn read(db: &impl ConnectionTrait) -> Result<(i64, Vec<u8>), Error> {
    let head = audit_head::Entity::find_by_id(HEAD).all(db).await?.pop().ok_or_else(missing)?;
    Ok((head.seq, head.hash))
}

fn missing() -> Error {
    Error::Corrupt("no head of the audit log".to_owned())
}
