//! Objects of a backup, one after the other.

use std::path::Path;

use reconcile::Fault;
use rustic_core::repofile::{Node, NodeType};

use super::describe::Line;
use super::{data_folder, list_path};
use crate::contents::OfBucket;
use crate::digest::Digest;
use crate::repository::Reader;

/// How the backup of a bucket differs from what the backup says of it.
fn other(of: &OfBucket, why: String) -> Fault {
    Fault::new(format!("the backup of the bucket {} is not what was saved", of.name))
        .cause(why)
        .hint("`roadbed backup verify` looks for damage; an older backup may be whole")
}

/// What is wrong, in figures.
pub(super) fn difference(saved: &Digest, found: &Digest) -> String {
    if saved.documents == found.documents {
        format!("all {} objects are there, and some are others", saved.documents)
    } else {
        format!("{} objects were saved, {} are there", saved.documents, found.documents)
    }
}

/// The lists of a bucket, each line of them. In the end they must be what the backup says.
pub(super) fn lines(
    reader: &Reader,
    of: &OfBucket,
    mut each: impl FnMut(Line) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut digest = Digest::default();
    for number in 0..of.lists {
        let list = reader.read(&list_path(&of.name, number))?;
        for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|error| other(of, error.to_string()))?;
            digest.add(&line.row.bytes());
            each(line)?;
        }
    }
    if digest == of.digest { Ok(()) } else { Err(other(of, difference(&of.digest, &digest))) }
}

/// Each object of a bucket with where its content is. Before the first one all lists were compared.
pub(super) fn each_object(
    reader: &Reader,
    of: &OfBucket,
    mut each: impl FnMut(&Line, &Node) -> Result<(), Fault>,
) -> Result<(), Fault> {
    lines(reader, of, |_| Ok(()))?;
    if of.digest.documents == 0 {
        return Ok(());
    }
    let folder = data_folder(&of.name);
    let top = reader.node(&folder)?;
    let failed = |error: &rustic_core::RusticError| {
        crate::repository_fault(format!("cannot read {folder} of the backup"), error)
    };
    let mut nodes = reader.below(&top).map_err(|error| failed(&error))?;
    lines(reader, of, |line| {
        // Both are in the order of the tree.
        let (path, node) = loop {
            match nodes.next() {
                Some(Ok((_, node))) if node.node_type == NodeType::Dir => {}
                Some(Ok(found)) => break found,
                Some(Err(error)) => return Err(failed(&error)),
                None => return Err(other(of, format!("{} is missing", line.path))),
            }
        };
        if path != Path::new(&line.path) || node.meta.size != line.row.size {
            return Err(other(of, format!("{} lies where {} is to be", path.display(), line.path)));
        }
        each(&line, &node)
    })
}

/// Reads what all objects of a bucket hold, as a restore would.
pub(crate) fn read_all(reader: &Reader, of: &OfBucket) -> Result<(), Fault> {
    each_object(reader, of, |line, node| {
        let mut count = Count(0);
        reader.dump(&line.path, node, &mut count)?;
        if count.0 == line.row.size {
            Ok(())
        } else {
            Err(other(of, format!("{} has {} bytes where {} were saved", line.path, count.0, line.row.size)))
        }
    })
}

struct Count(u64);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
