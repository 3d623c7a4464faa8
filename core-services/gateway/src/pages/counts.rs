//! Counting shelves with a table: what is there as a CSV file, and what was counted back from one.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::LocationId,
    limits::LIST_LIMIT_MAX,
    message::inventory::{Count, Counted, Level, Levels},
};
use maud::{Markup, html};

use super::{
    articles::Names,
    form::wrong,
    visit::{Done, Visit},
};

/// Columns of the file. Those that are read back are the first three; the others are for people.
const COLUMNS: [&str; 5] = ["sku_no", "location", "on_hand", "sku", "place"];
/// Rows of a file, as many as the inventory takes at once.
const ROWS_MAX: usize = 5_000;

/// Both ways, below the list of the stock.
pub(super) fn section(visit: &Visit) -> Markup {
    html! {
        section aria-labelledby="counts" {
            h2 id="counts" { "Count with a table" }
            p { a.button.quiet href=(visit.at("/stock/counts.csv")) { "Download what should be there" } }
            form.sheet method="post" enctype="multipart/form-data" action=(visit.at("/stock/counts")) {
                input type="hidden" name="key" value=(visit.key());
                div.field {
                    label for="counted" { "What was counted, CSV" }
                    input id="counted" name="counted" type="file" required accept=".csv,text/csv" aria-describedby="counted-help";
                    p.fine id="counted-help" {
                        "The downloaded table with your numbers under " code { "on_hand" } "; rows may be left out. At most "
                        (ROWS_MAX) " rows, all or none."
                    }
                }
                button.button type="submit" { "Take the count in" }
            }
        }
    }
}

/// Every shelf of the visitor's, as a file that a spreadsheet opens.
pub(crate) async fn download(visit: Arc<Visit>) -> Result<Vec<u8>, Failure> {
    let (mut levels, mut cursor): (Vec<Level>, Option<String>) = (Vec::new(), None);
    loop {
        let page = visit.ask(Levels { cursor, limit: Some(LIST_LIMIT_MAX), ..Levels::default() }).await?;
        levels.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || levels.len() >= ROWS_MAX {
            break;
        }
    }
    levels.truncate(ROWS_MAX);
    let names = Names::of(&visit, levels.iter().map(|level| level.sku_no)).await;
    let mut file = csv::Writer::from_writer(Vec::new());
    let mut write = |cells: [&str; 5]| file.write_record(cells).map_err(|_| Failure::internal());
    write(COLUMNS)?;
    for level in &levels {
        let sku = names.sku(level.sku_no).unwrap_or_default();
        let (number, location, on_hand) =
            (level.sku_no.to_string(), level.location.to_string(), level.on_hand.to_string());
        write([&number, &location, &on_hand, &harmless(sku), &harmless(&level.location_name)])?;
    }
    file.into_inner().map_err(|_| Failure::internal())
}

/// A cell that a spreadsheet takes for text: one that begins like a formula would be run.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

pub(crate) async fn upload(visit: Arc<Visit>) -> Result<Done, Failure> {
    let file = visit.form.file().ok_or_else(|| wrong("counted", "Choose a file."))?;
    let counts = parse(file)?;
    let answer = visit.ask(Count { counts, key: visit.form.key()? }).await?;
    let said = match (answer.changed, answer.same) {
        (0, same) => format!("All {same} rows were as counted: nothing had to be changed."),
        (changed, same) => format!("{changed} rows are as counted now, {same} were before."),
    };
    Ok(Done { to: visit.at("/stock"), said })
}

/// The rows of a file, by the names of its columns.
fn parse(file: &[u8]) -> Result<Vec<Counted>, Failure> {
    let unreadable = |what: &str| wrong("counted", what);
    // Spreadsheets put a mark before the first column, and some of them part columns by semicolons.
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let head = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if head.contains(&b';') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(file);
    let heads = reader.headers().map_err(|_| unreadable("This is no table of text."))?.clone();
    let at = |name: &str| heads.iter().position(|head| head == name);
    let (Some(sku_no), Some(location), Some(on_hand)) = (at(COLUMNS[0]), at(COLUMNS[1]), at(COLUMNS[2])) else {
        return Err(unreadable("The first row names the columns sku_no, location and on_hand."));
    };
    let mut counts = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let line = row + 2;
        if counts.len() >= ROWS_MAX {
            return Err(unreadable("At most 5,000 rows at once."));
        }
        let record = record.map_err(|_| unreadable(&format!("Row {line} cannot be read.")))?;
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let sku_no = cell(sku_no).parse().map_err(|_| unreadable(&format!("Row {line}: sku_no is no number.")))?;
        let location: LocationId =
            cell(location).parse().map_err(|_| unreadable(&format!("Row {line}: location is no id of a place.")))?;
        let on_hand: i64 =
            cell(on_hand).parse().map_err(|_| unreadable(&format!("Row {line}: on_hand is no whole number.")))?;
        counts.push(Counted { sku_no, location, on_hand });
    }
    if counts.is_empty() { Err(unreadable("The table has no rows.")) } else { Ok(counts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> LocationId {
        LocationId::from_u128(1)
    }

    #[test]
    fn a_table_is_read_by_its_columns_whatever_a_spreadsheet_made_of_it() {
        let wanted = [Counted { sku_no: 7, location: place(), on_hand: 12 }];
        for text in [
            format!("sku_no,location,on_hand\n7,{},12\n", place()),
            format!("\u{feff}sku_no;place;on_hand;location\r\n7;\"Back; left\"; 12 ;{}\r\n", place()),
            format!("on_hand,sku_no,location,sku\n12,7,{}\n", place()),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_row() {
        let good = place();
        for (text, told) in [
            (String::new(), "names the columns"),
            ("a,b,c\n1,2,3\n".to_owned(), "names the columns"),
            ("sku_no,location,on_hand\n".to_owned(), "no rows"),
            (format!("sku_no,location,on_hand\n7,{good},1\n7,{good},many\n"), "Row 3: on_hand"),
            (format!("sku_no,location,on_hand\n-7,{good},1\n"), "Row 2: sku_no"),
            ("sku_no,location,on_hand\n7,here,1\n".to_owned(), "Row 2: location"),
            ("sku_no,location,on_hand\n7\n".to_owned(), "Row 2: location"),
        ] {
            let failure = parse(text.as_bytes()).unwrap_err();
            assert!(failure.fields[0].detail.contains(told), "{text}: {failure:?}");
        }
        assert!(parse(&[0xff, 0xfe, 0x00, b'\n']).is_err(), "no text at all");
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!((harmless("=1+1"), harmless("RYE-1")), ("'=1+1".to_owned(), "RYE-1".to_owned()));
    }
}
