//! Scripts and their combinations: what a few statements, or a few sessions, make of some letters.

/// All scripts of so many letters, each letter one statement or a few; ended.
pub fn scripts<S: Clone>(letters: &[&[S]], length: usize, end: S) -> Vec<Vec<S>> {
    let mut all: Vec<Vec<S>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |script: &Vec<S>, letter: &&[S]| [script, *letter].concat();
        all =
            all.iter().flat_map(|script| letters.iter().map(move |l| longer(script, l))).collect();
    }
    all.into_iter().map(|script| [script, vec![end.clone()]].concat()).collect()
}

/// So many of the scripts together, in any combination.
pub fn together<S: Clone>(scripts: &[Vec<S>], sessions: usize) -> Vec<Vec<Vec<S>>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..sessions {
        let from = |chosen: &Vec<usize>| chosen.last().copied().unwrap_or(0);
        let longer = |chosen: &Vec<usize>, next: usize| [&chosen[..], &[next]].concat();
        all = all
            .iter()
            .flat_map(|chosen| (from(chosen)..scripts.len()).map(move |next| longer(chosen, next)))
            .collect();
    }
    let of = |chosen: &Vec<usize>| chosen.iter().map(|script| scripts[*script].clone()).collect();
    all.iter().map(of).collect()
}
