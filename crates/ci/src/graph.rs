//! Who depends on whom, and a hash for each that covers all below it.

use std::rc::Rc;

use crate::{Hash, hash_of};

/// Something that can change.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is without what it depends on.
    pub own: Hash,
    /// What it depends on, by the name under which it asks for it.
    pub edges: Vec<(Rc<str>, usize)>,
}

/// Nodes with their hashes.
#[derive(Debug)]
pub struct Graph {
    pub nodes: Vec<Node>,
    hashes: Vec<Hash>,
    /// Those that depend on each other share one.
    circles: Vec<usize>,
}

impl Graph {
    /// Hashes every node by itself and what it depends on. Those that depend on each other in a circle are hashed as one: a change of
    /// one is a change of all.
    pub fn new(nodes: Vec<Node>) -> Self {
        let mut graph = Self { hashes: vec![[0; 32]; nodes.len()], circles: vec![usize::MAX; nodes.len()], nodes };
        for (number, circle) in circles(&graph.nodes).into_iter().enumerate() {
            circle.iter().for_each(|at| graph.circles[*at] = number);
            graph.hash(&circle);
        }
        graph
    }

    /// All that its members depend on outside of it has its hash already.
    fn hash(&mut self, circle: &[usize]) {
        let is_inside = |at: &usize| circle.contains(at);
        let mut members: Vec<Hash> = circle
            .iter()
            .map(|at| {
                let node = &self.nodes[*at];
                let mut edges: Vec<(&str, &Hash)> = node
                    .edges
                    .iter()
                    .map(|(name, to)| (&**name, if is_inside(to) { &self.nodes[*to].own } else { &self.hashes[*to] }))
                    .collect();
                edges.sort_unstable();
                edges.dedup();
                let parts = edges.iter().flat_map(|(name, hash)| [name.as_bytes(), hash.as_slice()]);
                hash_of(std::iter::once(node.own.as_slice()).chain(parts))
            })
            .collect();
        if let [only] = circle {
            self.hashes[*only] = members[0];
            return;
        }
        members.sort_unstable();
        let whole = hash_of(members.iter().map(Hash::as_slice));
        for at in circle {
            self.hashes[*at] = hash_of([self.nodes[*at].own.as_slice(), whole.as_slice()]);
        }
    }

    pub fn hash_at(&self, at: usize) -> &Hash {
        &self.hashes[at]
    }

    /// The others that it depends on and that depend on it.
    pub fn circle_of(&self, at: usize) -> impl Iterator<Item = usize> {
        let number = self.circles[at];
        self.circles
            .iter()
            .enumerate()
            .filter(move |(other, circle)| **circle == number && *other != at)
            .map(|(other, _)| other)
    }
}

/// Nodes that reach each other, what is depended on first (Tarjan, without recursion: chains are as long as a project likes).
fn circles(nodes: &[Node]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut number, mut low) = (vec![UNSEEN; nodes.len()], vec![0; nodes.len()]);
    let (mut is_open, mut open, mut found, mut next) = (vec![false; nodes.len()], Vec::new(), Vec::new(), 0);
    for start in 0..nodes.len() {
        if number[start] != UNSEEN {
            continue;
        }
        // A node, and how many of its edges were followed.
        let mut path = vec![(start, 0)];
        while let Some((at, followed)) = path.last_mut() {
            let at = *at;
            if *followed == 0 {
                (number[at], low[at]) = (next, next);
                next += 1;
                open.push(at);
                is_open[at] = true;
            }
            match nodes[at].edges.get(*followed) {
                Some((_, to)) => {
                    *followed += 1;
                    if number[*to] == UNSEEN {
                        path.push((*to, 0));
                    } else if is_open[*to] {
                        low[at] = low[at].min(number[*to]);
                    }
                    continue;
                }
                None if *followed == 0 => *followed = 1,
                None => {}
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[at]);
            }
            if low[at] == number[at] {
                let begin = open.iter().rposition(|member| *member == at).expect("it was opened");
                let circle = open.split_off(begin);
                circle.iter().for_each(|member| is_open[*member] = false);
                found.push(circle);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(owns: &[u8], edges: &[(usize, usize)]) -> Graph {
        let node = |(at, own): (usize, &u8)| Node {
            own: hash_of([[*own].as_slice()]),
            edges: edges
                .iter()
                .filter(|(from, _)| *from == at)
                .map(|(_, to)| (Rc::from(to.to_string()), *to))
                .collect(),
        };
        Graph::new(owns.iter().enumerate().map(node).collect())
    }

    #[test]
    fn a_change_reaches_who_depends_on_it_and_nobody_else() {
        let edges = [(0, 1), (1, 2), (3, 2), (4, 4)];
        let (before, after) = (graph(&[0; 5], &edges), graph(&[0, 9, 0, 0, 0], &edges));
        let changed: Vec<usize> = (0..5).filter(|at| before.hash_at(*at) != after.hash_at(*at)).collect();
        assert_eq!(changed, [0, 1]);
    }

    #[test]
    fn a_change_in_a_circle_reaches_all_of_it_and_who_depends_on_it() {
        let edges = [(0, 1), (1, 2), (2, 0), (3, 0), (0, 4)];
        let before = graph(&[0, 1, 2, 3, 4], &edges);
        let changed = |after: Graph| (0..5).filter(|at| before.hash_at(*at) != after.hash_at(*at)).collect::<Vec<_>>();
        assert_eq!(changed(graph(&[0, 1, 9, 3, 4], &edges)), [0, 1, 2, 3]);
        assert_eq!(changed(graph(&[0, 1, 2, 3, 9], &edges)), [0, 1, 2, 3, 4]);
        assert_eq!(before.circle_of(0).collect::<Vec<_>>(), [1, 2]);
    }

    proptest! {
        /// Affected is what reaches a change, in any graph.
        #[test]
        fn the_hash_differs_exactly_where_a_change_is_reached(
            edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
            changed in 0usize..12,
        ) {
            let before = graph(&[0,1,2,3,4,5,6,7,8,9,10,11], &edges);
            let mut owns: Vec<u8> = (0..12).collect();
            owns[changed] = 99;
            let after = graph(&owns, &edges);
            let mut reaches = [false; 12];
            reaches[changed] = true;
            for _ in 0..12 {
                for (from, to) in &edges {
                    reaches[*from] |= reaches[*to];
                }
            }
            for (at, is_reached) in reaches.into_iter().enumerate() {
                prop_assert_eq!(before.hash_at(at) != after.hash_at(at), is_reached, "node {}", at);
            }
        }
    }

    #[test]
    fn a_chain_as_long_as_it_likes_is_no_deep_recursion() {
        let edges: Vec<(usize, usize)> = (0..9_999).map(|at| (at, at + 1)).collect();
        let nodes = (0..10_000).map(|at| Node {
            own: [0; 32],
            edges: edges.get(at).map(|(_, to)| (Rc::from("d"), *to)).into_iter().collect(),
        });
        assert_eq!(Graph::new(nodes.collect()).hashes.len(), 10_000);
    }
}
