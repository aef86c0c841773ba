//! Brings code blocks into one form, `<pre><code class="language-x">`, before anything else sees
//! the page: every site generator has its own, and highlighting hides the text in spans.

use dom_query::{Document, NodeRef};
use quick_xml::escape::escape;

/// How far above a block its language may be written.
const ANCESTORS_MAX: usize = 4;

/// Longer words are no names of languages.
const LANGUAGE_CHARS_MAX: usize = 24;

/// What stands in a block and is not code.
const DECORATION: &str = "button, .lineno, .linenos, .line-numbers-rows, .line-number, \
    .linenumber, .gutter, .headerlink, .copy-button, [aria-hidden=true].line-numbers";

/// Normalises every code block of the page.
pub(super) fn normalise(page: &Document) {
    // Tables that set line numbers beside the code: only the code's cell stays.
    page.select("td.linenos, td.gutter, td.blob-num, td.lineno").remove();
    for table in page.select("table.highlighttable, table.rouge-table, .highlight table").iter() {
        let blocks = table.select("pre");
        if let (1, Some(block)) = (blocks.length(), blocks.nodes().first()) {
            let html = block.html();
            table.replace_with_html(html);
        }
    }
    for block in page.select("pre").nodes() {
        let language = language(block);
        block.find(&["pre"]).iter().for_each(NodeRef::unwrap_node);
        dom_query::Selection::from(*block).select(DECORATION).remove();
        let text = text(block);
        let text = text.trim_end().trim_start_matches('\n');
        let class = language.map(|name| format!(" class=\"language-{name}\"")).unwrap_or_default();
        block.set_html(format!("<code{class}>{}</code>", escape(text)));
    }
}

/// The text of a block, with the line breaks that markup makes.
fn text(block: &NodeRef) -> String {
    let selection = dom_query::Selection::from(*block);
    selection.select("br").replace_with_html("\n");
    let text = block.text().to_string();
    let lines = selection.select(".line, .token-line, .code-line");
    if !text.trim_end().contains('\n') && lines.length() > 1 {
        let lines: Vec<String> = lines.iter().map(|line| line.text().to_string()).collect();
        return lines.join("\n");
    }
    text
}

/// The language by the block's own class, the code's inside, or one around it.
fn language(block: &NodeRef) -> Option<String> {
    let inside = dom_query::Selection::from(*block);
    let inside = inside.select("code").nodes().first().copied();
    let around = block.ancestors(Some(ANCESTORS_MAX));
    [Some(*block), inside].into_iter().flatten().chain(around).find_map(|node| named_by(&node))
}

fn named_by(node: &NodeRef) -> Option<String> {
    let attribute = node.attr("data-lang").or_else(|| node.attr("data-language"));
    let class = node.class().unwrap_or_default();
    let words: Vec<&str> = class.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let prefixes = ["language-", "lang-", "highlight-source-", "highlight-", "brush:"];
    let by_prefix = words.iter().find_map(|word| {
        prefixes.iter().find_map(|prefix| word.strip_prefix(prefix)).filter(|name| is_name(name))
    });
    // `sourceCode python` (Pandoc), `brush: python` (SyntaxHighlighter).
    let after = words.windows(2).find(|pair| matches!(pair[0], "sourceCode" | "brush:"));
    let name = attribute.as_deref().filter(|name| is_name(name)).or(by_prefix);
    let name = name.or(after.map(|pair| pair[1]).filter(|name| is_name(name)))?;
    Some(name.to_ascii_lowercase())
}

fn is_name(word: &str) -> bool {
    let no_language = ["default", "none", "text", "plain", "plaintext", "wrapper", "box"];
    let is_char = |c: char| c.is_ascii_alphanumeric() || "+#-_.".contains(c);
    !word.is_empty()
        && word.len() <= LANGUAGE_CHARS_MAX
        && word.chars().all(is_char)
        && !no_language.contains(&word.to_ascii_lowercase().as_str())
}
