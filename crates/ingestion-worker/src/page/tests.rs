//! What pages become.

use super::*;

fn base() -> Url {
    Url::parse("https://a.example/docs/page.html").expect("an address")
}

fn check(html: &str, markdown: &str) {
    assert_eq!(html_to_markdown(html, Some(&base())).trim(), markdown, "{html}");
}

#[test]
fn keeps_structure() {
    check(
        "<h2>Set up</h2><p>Run <b>it</b> <a href='../x?a=1#b'>here</a>.</p>",
        "## Set up\n\nRun **it** [here](https://a.example/x?a=1#b).",
    );
    check("<ul><li>one</li><li>two<ol><li>a</li></ol></li></ul>", "- one\n- two\n  1. a");
    check(
        "<table><thead><tr><th>k</th><th>v</th></tr></thead><tbody><tr><td>a</td><td>1</td></tr>\
           </tbody></table>",
        "| k | v |\n| - | - |\n| a | 1 |",
    );
    check("<img src='i.png' alt='plan'>", "![plan](https://a.example/docs/i.png)");
}

#[test]
fn keeps_code_and_its_language() {
    let fenced = "```python\nif a < b:\n    run()\n```";
    for html in [
        "<pre><code class='language-python'>if a &lt; b:\n    run()\n</code></pre>",
        "<div class='highlight-python notranslate'><div class='highlight'><pre><span></span>\
         <span class='k'>if</span> a &lt; b:\n    run()\n</pre></div></div>",
        "<div class='language-python codeBlockContainer'><pre tabindex='0'><code><span \
         class='token-line'>if a &lt; b:<br></span><span class='token-line'>    run()</span>\
         </code><button>Copy</button></pre></div>",
        "<pre class='sourceCode python'><code>if a &lt; b:\n    run()</code></pre>",
        "<div class='language-python highlight'><table class='highlighttable'><tr><td \
         class='linenos'><pre>1\n2</pre></td><td class='code'><pre>if a &lt; b:\n    run()</pre>\
         </td></tr></table></div>",
        "<pre data-lang='python'><span class='line'>if a &lt; b:</span><span class='line'>    \
         run()</span></pre>",
    ] {
        check(html, fenced);
    }
    check("<pre>plain\n  text</pre>", "```\nplain\n  text\n```");
}

#[test]
fn nothing_active_survives() {
    let hostile = [
        "<script>alert(1)</script>",
        "<p onclick='alert(1)'>x</p>",
        "<style>*{alert(1)}</style>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='java\nscript:alert(1)'>x</a>",
        "<a href=' &#1;JaVaScRiPt:alert(1)'>x</a>",
        "<iframe src='data:text/html,alert(1)'></iframe>",
        "<img src=x onerror=alert(1)>",
        "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
        "<svg><script>alert(1)</script></svg>",
        "<form action='javascript:alert(1)'><input></form>",
        "<object data='javascript:alert(1)'></object>",
        "<base href='javascript:alert(1)'>",
        "<meta http-equiv=refresh content='0;javascript:alert(1)'>",
        "<!-- alert(1) -->",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<b style='x:alert(1)'>x",
        "<a href='vbscript:alert(1)'>x</a>",
        "<video><source onerror='alert(1)'></video>",
        "<template><script>alert(1)</script></template>",
        "<details ontoggle=alert(1) open>x</details>",
    ];
    for html in hostile {
        let (clean, markdown) = converted(&format!("<p>text</p>{html}"), Some(&base()));
        assert!(!clean.contains("alert(1)"), "{html} became {clean}");
        assert!(!markdown.contains("alert(1)"), "{html} became {markdown}");
        assert!(markdown.contains("text"), "{html} became {markdown}");
    }
}

#[test]
fn finds_the_article_and_what_is_said_about_it() {
    let text = "<p>The quick brown fox jumps over the lazy dog, again and again.</p>".repeat(20);
    let html = format!(
        "<html lang='en'><head><title>Foxes | The Site</title>\
         <meta name='author' content='Ann Lee'>\
         <meta property='article:published_time' content='2003-12-31T10:14:55Z'></head>\
         <body><nav><a href='/'>Home of the site</a></nav><article><h1>Foxes</h1>{text}\
         <pre><code class='language-rust'>fn main() {{}}</code></pre></article>\
         <footer>All rights reserved</footer></body></html>"
    );
    let article = article(&html, Some(&base())).expect("there is one");
    assert!(article.title.starts_with("Foxes"), "{}", article.title);
    assert_eq!(article.authors, ["Ann Lee"]);
    let published = article.published.map(|date| date.to_rfc3339());
    assert_eq!(published.as_deref(), Some("2003-12-31T10:14:55+00:00"));
    assert_eq!(article.language.as_deref(), Some("en"));
    assert!(article.markdown.contains("lazy dog"));
    assert!(article.markdown.contains("```rust\nfn main() {}\n```"), "{}", article.markdown);
    assert!(!article.markdown.contains("Home of the site"));
}

#[test]
fn a_file_is_read_whole() {
    let file =
        file("<title>Notes</title><h1>Notes</h1><p>Short.</p><h2>More</h2><p>Text.</p>", None);
    assert_eq!(file.title, "Notes");
    for part in ["Short.", "## More", "Text."] {
        assert!(file.markdown.contains(part), "{}", file.markdown);
    }
}

#[test]
fn bylines_name_people() {
    assert_eq!(authors("By Ann Lee and Bob Ray"), ["Ann Lee", "Bob Ray"]);
    assert_eq!(authors("Ann Lee, Bob Ray"), ["Ann Lee", "Bob Ray"]);
    assert_eq!(authors("Byron Lee"), ["Byron Lee"]);
    assert!(authors(" ").is_empty());
}

#[test]
fn nesting_without_end_costs_neither_stack_nor_words() {
    let deep = format!("{}fox{}", "<div>".repeat(50_000), "</div>".repeat(50_000));
    assert_eq!(html_to_markdown(&deep, None), "fox");
    assert_eq!(file(&deep, None).markdown, "fox");
    assert_eq!(article(&deep, None), None);
}

proptest::proptest! {
    #[test]
    fn never_panics(html in "(<[a-z/!]{0,6}( [a-z]{1,5}=['\"]?[^>]{0,8})?>|[a-z&;# ]{0,5}|\\PC){0,30}") {
        let _ = html_to_markdown(&html, Some(&base()));
        let _ = file(&html, None);
    }
}
