//! Lists: a page of many things, in an order, with a filter. What is asked for stands in the page's address, and the API does it.

use maud::{Markup, html};
use serde::Deserialize;

use super::{link, text};

/// A page of a list, as the API answers it.
#[derive(Debug, Deserialize)]
pub struct Listed<T> {
    /// Those on this page.
    pub items: Vec<T>,
    /// How many suit the filter.
    pub filtered_count: u64,
    /// How many there are.
    pub total_count: u64,
    /// The number of the page, from one on.
    pub page: u64,
    /// How many pages there are.
    pub page_count: u64,
}

/// What the address of a list says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Only names with this in them.
    pub name: String,
    /// The filter is a regular expression.
    pub regex: String,
    /// Only in this virtual host; empty for all.
    pub vhost: String,
    /// The column by which it is sorted.
    pub sort: String,
    /// `true`: the other way round.
    pub reverse: String,
    /// The number of the page; empty for the first.
    pub page: String,
}

impl Listing {
    /// The same sorted so, where nothing else is asked for.
    #[must_use]
    pub fn sorted_by(mut self, column: &str, reverse: bool) -> Self {
        if self.sort.is_empty() {
            self.sort = column.into();
            self.reverse = reverse.to_string();
        }
        self
    }

    /// What the API is asked, and which columns of it.
    pub fn asked<'a>(&'a self, columns: &'a str) -> Vec<(&'a str, &'a str)> {
        let page = if self.page.is_empty() { "1" } else { &self.page };
        let regex = if self.regex.is_empty() { "false" } else { "true" };
        let mut asked = vec![
            ("page", page),
            ("page_size", "50"),
            ("name", &*self.name),
            ("use_regex", regex),
            ("sort", &*self.sort),
            ("sort_reverse", &*self.reverse),
        ];
        if !columns.is_empty() {
            asked.push(("columns", columns));
        }
        asked
    }

    /// The address of the same list, but for something.
    fn link(&self, path: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut other = self.clone();
        change(&mut other);
        let query = [
            ("name", &*other.name),
            ("regex", &*other.regex),
            ("vhost", &*other.vhost),
            ("sort", &*other.sort),
            ("reverse", &*other.reverse),
            ("page", &*other.page),
        ];
        link::to(path, &query.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    }
}

/// The head of a column by which the list can be sorted; numbers begin with the largest.
pub fn sorted(list: &Listing, path: &str, column: &str, label: &str, is_number: bool) -> Markup {
    let is_it = list.sort == column;
    let is_reverse = list.reverse == "true";
    let reverse = if is_it { !is_reverse } else { is_number };
    let href = list.link(path, |list| {
        list.sort = column.into();
        list.reverse = reverse.to_string();
        list.page.clear();
    });
    let order = is_it.then_some(if is_reverse { "descending" } else { "ascending" });
    html! {
        th scope="col" class=[is_number.then_some("number")] aria-sort=[order] {
            a href=(href) { (label) @if is_it { span.order aria-hidden="true" { (if is_reverse { " ▾" } else { " ▴" }) } } }
        }
    }
}

/// The form that filters. `vhosts` are those to choose from; none if there is nothing to choose.
pub fn search(list: &Listing, path: &str, what: &str, vhosts: &[String]) -> Markup {
    html! {
        form.search method="get" action=(path) role="search" {
            label { span.hidden { "Find " (what) " by name" }
                input #search type="search" name="name" value=(list.name) placeholder={ "Find " (what) " by name" }
                    autocomplete="off" spellcheck="false"; }
            label.check { input type="checkbox" name="regex" value="true" checked[!list.regex.is_empty()]; " pattern" }
            @if vhosts.len() > 1 {
                label { span.hidden { "Virtual host" }
                    select name="vhost" {
                        option value="" { "all virtual hosts" }
                        @for vhost in vhosts {
                            option value=(vhost) selected[*vhost == list.vhost] { (text::shown(vhost)) }
                        }
                    }
                }
            }
            input type="hidden" name="sort" value=(list.sort);
            input type="hidden" name="reverse" value=(list.reverse);
            button type="submit" { "Find" }
        }
    }
}

/// How many there are, and the way to the other pages.
pub fn pager<T>(list: &Listing, path: &str, listed: &Listed<T>, one: &str) -> Markup {
    let (page, pages) = (listed.page, listed.page_count);
    let to = |page: u64| list.link(path, |list| list.page = page.to_string());
    html! {
        nav.pager aria-label="Parts of the list" {
            span {
                @if listed.filtered_count == listed.total_count { (text::counted(listed.total_count, one)) }
                @else { (text::count(listed.filtered_count)) " of " (text::counted(listed.total_count, one)) }
            }
            @if pages > 1 {
                @if page > 1 { a href=(to(1)) { "first" } a href=(to(page - 1)) rel="prev" { "previous" } }
                span { "page " (text::count(page)) " of " (text::count(pages)) }
                @if page < pages { a href=(to(page + 1)) rel="next" { "next" } a href=(to(pages)) { "last" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_sorted_the_other_way_by_its_head() {
        let list = Listing { name: "a b".into(), page: "3".into(), ..Listing::default() }
            .sorted_by("messages", true);
        let head = sorted(&list, "/queues", "messages", "Messages", true).into_string();
        assert!(head.contains("href=\"/queues?name=a%20b&amp;sort=messages&amp;reverse=false\""), "{head}");
        assert!(head.contains("aria-sort=\"descending\""), "{head}");
        let head = sorted(&list, "/queues", "name", "Name", false).into_string();
        assert!(head.contains("sort=name&amp;reverse=false") && !head.contains("aria-sort"), "{head}");
    }

    #[test]
    fn a_list_is_asked_for_as_its_address_says() {
        let list = Listing { name: "^q".into(), regex: "true".into(), ..Listing::default() };
        let asked = list.sorted_by("name", false);
        let wanted = [
            ("page", "1"),
            ("page_size", "50"),
            ("name", "^q"),
            ("use_regex", "true"),
            ("sort", "name"),
            ("sort_reverse", "false"),
            ("columns", "name"),
        ];
        assert_eq!(asked.asked("name"), wanted);
    }

    #[test]
    fn the_pager_leads_only_to_pages_that_there_are() {
        let listed = |page, page_count| Listed::<()> {
            items: Vec::new(),
            filtered_count: 90,
            total_count: 100,
            page,
            page_count,
        };
        for (page, last, next, previous) in
            [(1, 1, false, false), (1, 3, true, false), (2, 3, true, true), (3, 3, false, true)]
        {
            let shown = pager(&Listing::default(), "/queues", &listed(page, last), "queue").into_string();
            assert_eq!(
                (shown.contains("rel=\"next\""), shown.contains("rel=\"prev\"")),
                (next, previous),
                "{shown}"
            );
            assert!(shown.contains("90 of 100 queues"), "{shown}");
        }
    }
}
