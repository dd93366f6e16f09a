//! All pages of a list, one after the other: no more than one is held.

use std::{
    io::{self, IsTerminal as _},
    num::NonZeroU64,
};

use clap::Args;
use prost::Message;

use super::{
    Look, Printed, Progress, Session, Shown,
    table::{Table, table},
};
use crate::{
    cli::{
        failure::Failure,
        out::{Out, note},
    },
    pb,
};

const PAGE: u64 = 1000;

#[derive(Debug, Clone, Copy, Args)]
pub(in crate::cli) struct PageArgs {
    /// Print so many at most [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU64>,
}

/// The request and the answer of a list.
pub(in crate::cli) trait Paged: Message {
    const METHOD: &'static str;
    type Item: Shown;
    type Page: Message + Default;

    fn ask(&mut self, size: i32, token: String);
    fn items(page: Self::Page) -> (Vec<Self::Item>, String);
}

macro_rules! paged {
    ($($method:literal: $request:ident -> $page:ident { $item:ident in $field:ident })+) => {
        $(
            impl Paged for pb::$request {
                const METHOD: &'static str = $method;
                type Item = pb::$item;
                type Page = pb::$page;

                fn ask(&mut self, size: i32, token: String) {
                    self.page_size = size;
                    self.page_token = token;
                }

                fn items(page: pb::$page) -> (Vec<pb::$item>, String) {
                    (page.$field, page.next_page_token)
                }
            }
        )+
    };
}

paged! {
    "KeyService/ListKeys": ListKeysRequest -> ListKeysResponse { Key in keys }
    "ApplicationService/ListApplications": ListApplicationsRequest -> ListApplicationsResponse { Application in applications }
    "ServiceAccountService/ListServiceAccounts":
        ListServiceAccountsRequest -> ListServiceAccountsResponse { ServiceAccount in service_accounts }
    "AuditService/ListAuditEvents": ListAuditEventsRequest -> ListAuditEventsResponse { AuditEvent in audit_events }
}

/// Prints each: a table that is laid out by its first page, or a line of JSON each.
pub(in crate::cli) async fn list<Q: Paged>(
    session: &Session,
    mut request: Q,
    pages: PageArgs,
    printed: &Printed,
    out: &mut Out,
) -> Result<(), Failure> {
    let look = printed.look()?;
    let mut left = pages.limit.map_or(u64::MAX, NonZeroU64::get);
    let mut laid_out = None;
    let mut progress = None;
    let (mut token, mut told) = (String::new(), 0);
    loop {
        request.ask(i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX), token.clone());
        let page = session.read::<Q, Q::Page>(Q::METHOD, &request).await?.message;
        let (mut items, next) = Q::items(page);
        items.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        told += print(&items, printed, look, &mut laid_out, session, out)?;
        left = left.saturating_sub(items.len() as u64);
        if next.is_empty() || left == 0 {
            break;
        }
        if next == token {
            return Err(Failure::Failed("the list does not go on: is the server of another version?".to_owned()));
        }
        token = next;
        // On a terminal the rows themselves say how far it is.
        if !io::stdout().is_terminal() {
            progress.get_or_insert_with(|| Progress::count(Q::Item::MANY)).at(told, None);
        }
    }
    drop(progress);
    if told == 0 && !printed.json() {
        note(&format!("there are no {} to show", Q::Item::MANY));
    }
    Ok(())
}

fn print<T: Shown>(
    items: &[T],
    printed: &Printed,
    look: Look,
    laid_out: &mut Option<Table<T>>,
    session: &Session,
    out: &mut Out,
) -> Result<u64, Failure> {
    if items.is_empty() {
        return Ok(0);
    }
    let mut lines = Vec::with_capacity(items.len() + 1);
    if printed.json() {
        for item in items {
            lines.push(session.json(T::MESSAGE, item.encode_to_vec().into())?);
        }
    } else {
        let laid_out = laid_out.get_or_insert_with(|| {
            let table = table(items, look);
            lines.push(table.head());
            table
        });
        lines.extend(items.iter().map(|item| laid_out.row(item)));
    }
    out.line(&lines.join("\n"))?;
    Ok(items.len() as u64)
}
