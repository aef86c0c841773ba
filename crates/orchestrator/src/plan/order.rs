//! The order that `depends_on` makes.

use std::collections::BTreeMap;

use crate::spec::Stack;

/// How many services deep each service stands: 0 needs nobody. A stack has no cycle; if one came
/// here all the same, its members stand at the number of services.
#[must_use]
pub fn levels(stack: &Stack) -> BTreeMap<&str, usize> {
    let mut levels: BTreeMap<&str, usize> = stack.services.keys().map(|it| (&**it, 0)).collect();
    // A chain without a cycle is settled after as many rounds as there are services.
    for _ in 0..stack.services.len() {
        for service in stack.services.values() {
            let needs = service.depends_on.iter().filter_map(|it| levels.get(&*it.service));
            let level = needs.map(|it| it + 1).max().unwrap_or(0).min(stack.services.len());
            levels.insert(&service.name, level);
        }
    }
    levels
}
