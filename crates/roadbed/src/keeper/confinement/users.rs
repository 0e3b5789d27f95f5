//! Users without names, for the units of one root: chosen once, remembered in the root, and never those of another root.
//!
//! A root has a block of ids. It is drawn at random from a range that nothing else uses, and claimed in a folder of the machine,
//! where a claim names the root that has it. Claims are gone after a reboot; a root claims its block again when its keeper starts.
//! Two roots of the same block (a copied root, or a draw in a million) are told apart there: the second draws another, and what
//! it owns changes hands when its units start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::confine::{User, ownership};
use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

/// Ids per root: one for each unit that it ever had.
const BLOCK: u32 = 256;

/// Not used by distributions, by services with dynamic users, by containers (which begin at 100,000 or 524,288) or by directories.
const RANGE: std::ops::Range<u32> = 1_879_048_192..2_147_483_392;

/// In a container with few ids: what services with dynamic users have elsewhere.
const NARROW_RANGE: std::ops::Range<u32> = 61_184..65_280;

/// Where the roots of a machine see each other's claims.
const CLAIMS: &str = "/run/roadbed/users";

/// So many blocks are drawn before giving up: far more than there are roots on a machine.
const DRAWS: u32 = 64;

/// Raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// The book of one root.
#[derive(Debug)]
pub(super) struct Users {
    path: PathBuf,
    root: PathBuf,
    claims: PathBuf,
    range: std::ops::Range<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    format: u32,
    /// First id of the block.
    first: u32,
    /// Units in the order in which they were met.
    units: Vec<String>,
}

/// The claim of a block: whose it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    root: PathBuf,
}

/// Where the book lies.
pub fn path(root: &Root) -> PathBuf {
    root.state().join("users.json")
}

/// The users that units of a root have had so far, by unit. Empty where units have none of their own.
pub fn users_of(root: &Root) -> Result<BTreeMap<String, u32>, Fault> {
    let units = read(&path(root))?.map(|book| (book.first..).zip(book.units)).into_iter().flatten();
    Ok(units.map(|(id, unit)| (unit, id)).collect())
}

impl Users {
    /// Claims the root's block, drawing one at first. The error is a sentence.
    pub(super) fn open(root: &Root) -> Result<Self, String> {
        Self::open_in(root, Path::new(CLAIMS))
    }

    pub(super) fn open_in(root: &Root, claims: &Path) -> Result<Self, String> {
        let range = range(&ownership::mapped_ids()).ok_or("too few user ids exist in this container")?;
        let users = Self { path: path(root), root: root.path().to_owned(), claims: claims.to_owned(), range };
        if let Err(fault) = read(&users.path) {
            // Not a reason to go without: whoever starts a unit is told.
            tracing::error!(causes = ?fault.causes, "{fault}");
            return Ok(users);
        }
        users.settle().map_err(|fault| {
            let why = fault.causes.first().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{fault}{why}")
        })?;
        Ok(users)
    }

    /// The user of a unit: the same for as long as the root lasts.
    pub(super) fn of(&self, unit: &str) -> Result<User, Fault> {
        let mut book = match read(&self.path)? {
            Some(book) => book,
            None => self.settle()?,
        };
        let known = book.units.iter().position(|known| known == unit);
        let number = u32::try_from(known.unwrap_or(book.units.len())).unwrap_or(BLOCK);
        if number >= BLOCK {
            return Err(Fault::new(format!("there is no user left for {unit}"))
                .cause(format!("this root has had {BLOCK} different units"))
                .hint(format!("`roadbed down`, then remove {}: owners are set anew", self.path.display())));
        }
        let user = User(book.first + number);
        if known.is_none() {
            book.units.push(unit.to_owned());
            self.write(&book)?;
        }
        Ok(user)
    }

    fn settle(&self) -> Result<Book, Fault> {
        let cannot = |fault: files::FileFault| Fault::because("cannot claim user ids", &fault);
        files::create_dir(&self.claims, Access::Owner).map_err(cannot)?;
        let units = match read(&self.path)? {
            Some(book) if self.range.contains(&book.first) && self.claim(book.first)? => return Ok(book),
            Some(book) => book.units,
            None => Vec::new(),
        };
        for _ in 0..DRAWS {
            let first = draw(&self.range)?;
            if self.claim(first)? {
                if let Some(state) = self.path.parent() {
                    files::create_dir(state, Access::Owner).map_err(cannot)?;
                }
                let book = Book { format: FORMAT, first, units };
                self.write(&book)?;
                return Ok(book);
            }
        }
        Err(Fault::new("cannot find user ids that no other root has").hint(format!("see {}", self.claims.display())))
    }

    /// Claims a block; `false` if it is another root's.
    fn claim(&self, first: u32) -> Result<bool, Fault> {
        let cannot = |fault: files::FileFault| Fault::because("cannot claim user ids", &fault);
        let path = self.claims.join(first.to_string());
        let own = Claim { root: self.root.clone() };
        let text = serde_json::to_vec(&own).expect("a claim is plain data");
        if files::write_new(&path, &text, Access::Owner).map_err(cannot)? == files::Created::New {
            return Ok(true);
        }
        let held = files::read(&path).map_err(cannot)?;
        let holder = serde_json::from_slice::<Claim>(&held).ok();
        match holder {
            Some(holder) if holder == own => Ok(true),
            Some(holder) if has_block(&holder.root, first) => Ok(false),
            // The root that claimed it is gone, or has another block by now.
            _ => {
                files::write_durable(&path, &text, Access::Owner).map_err(cannot)?;
                Ok(true)
            }
        }
    }

    fn write(&self, book: &Book) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(book).expect("a book is plain data");
        files::write_durable(&self.path, &text, Access::Owner).map_err(|fault| {
            Fault::because("cannot remember the users of units", &fault).hint("see whether the disk is full")
        })
    }
}

/// Takes away the claims of a root that is going.
pub(super) fn forget(root: &Path) -> files::Result<()> {
    let claims = match files::list(Path::new(CLAIMS)) {
        // Another user's: ours made none.
        Err(fault) if fault.source.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
        claims => claims?,
    };
    for file in claims {
        let claim = files::read_if_exists(&file)?.and_then(|bytes| serde_json::from_slice::<Claim>(&bytes).ok());
        if claim.is_some_and(|claim| claim.root == root) {
            files::remove(&file)?;
        }
    }
    Ok(())
}

/// Takes away the claims of roots that are no more, and returns which these were.
pub(super) fn forget_gone() -> Vec<PathBuf> {
    forget_gone_in(Path::new(CLAIMS))
}

fn forget_gone_in(claims: &Path) -> Vec<PathBuf> {
    let claimed = |file: &PathBuf| serde_json::from_slice::<Claim>(&files::read(file).ok()?).ok();
    let mut gone = Vec::new();
    // Tidying up: what cannot be read or removed now is met again by the next keeper.
    for file in files::list(claims).unwrap_or_default() {
        if let Some(claim) = claimed(&file).filter(|claim| !files::exists(&claim.root))
            && files::remove(&file).is_ok()
        {
            gone.push(claim.root);
        }
    }
    gone
}

/// Whether the book of a root cannot be read.
pub fn is_damaged(root: &Root) -> bool {
    read(&path(root)).is_err()
}

fn has_block(root: &Path, first: u32) -> bool {
    // One that cannot be read may well have it.
    let book = read(&path(&Root::new(root.to_owned())));
    book.map_or(true, |book| book.is_some_and(|book| book.first == first))
}

fn read(path: &Path) -> Result<Option<Book>, Fault> {
    let damaged = || format!("{} is damaged", path.display());
    let hint = "`roadbed up --forget-state` moves it aside: other users are drawn, and owners are set anew";
    let Some(bytes) =
        files::read_if_exists(path).map_err(|fault| Fault::because("cannot read the users of units", &fault))?
    else {
        return Ok(None);
    };
    let book: Book = serde_json::from_slice(&bytes).map_err(|error| Fault::because(damaged(), &error).hint(hint))?;
    if book.format != FORMAT {
        return Err(Fault::new(damaged())
            .cause(format!("its format is {}, this Roadbed knows {FORMAT}", book.format))
            .hint("use the Roadbed that wrote it"));
    }
    Ok(Some(book))
}

/// The range to draw from, where only some ids exist.
fn range(mapped: &[std::ops::Range<u64>]) -> Option<std::ops::Range<u32>> {
    let exists = |wanted: &std::ops::Range<u32>| {
        mapped.iter().any(|have| have.start <= u64::from(wanted.start) && u64::from(wanted.end) <= have.end)
    };
    [RANGE, NARROW_RANGE].into_iter().find(exists)
}

fn draw(range: &std::ops::Range<u32>) -> Result<u32, Fault> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Fault::because("cannot draw user ids", &error))?;
    let blocks = (range.end - range.start) / BLOCK;
    Ok(range.start + u32::from_be_bytes(bytes) % blocks * BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(folder: &Path, root: &str, range: std::ops::Range<u32>) -> Users {
        let root = Root::new(folder.join(root));
        Users { path: path(&root), root: root.path().to_owned(), claims: folder.join("claims"), range }
    }

    #[test]
    fn a_unit_s_user_is_remembered_and_nobody_else_s() {
        let folder = tempfile::tempdir().unwrap();
        let shop = users(folder.path(), "shop", RANGE);
        let (api, redis) = (shop.of("api-1").unwrap(), shop.of("redis").unwrap());
        assert_ne!(api, redis);
        assert!(RANGE.contains(&api.0));
        let again = users(folder.path(), "shop", RANGE);
        again.settle().unwrap();
        assert_eq!((again.of("redis").unwrap(), again.of("api-1").unwrap()), (redis, api));
    }

    #[test]
    fn a_copied_root_gets_users_of_its_own_and_a_root_that_is_gone_keeps_none() {
        let folder = tempfile::tempdir().unwrap();
        // One block only: whoever has it has all.
        let narrow = RANGE.start..RANGE.start + BLOCK;
        let shop = users(folder.path(), "shop", narrow.clone());
        let api = shop.of("api-1").unwrap();
        let mut copy = users(folder.path(), "copy", narrow.clone());
        files::create_dir(copy.path.parent().unwrap(), Access::Owner).unwrap();
        files::copy(&shop.path, &copy.path).unwrap();
        assert!(copy.settle().unwrap_err().message.contains("no other root has"));
        copy.range = RANGE.start..RANGE.start + 2 * BLOCK;
        copy.settle().unwrap();
        assert_ne!(copy.of("api-1").unwrap(), api);

        assert!(forget_gone_in(&shop.claims).is_empty());
        files::remove_dir(&shop.root).unwrap();
        assert_eq!(forget_gone_in(&shop.claims), [shop.root]);
        assert_eq!(users(folder.path(), "third", narrow).of("api-1").unwrap(), api);
    }

    #[test]
    fn a_damaged_book_starts_nobody_until_it_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().join("shop"));
        let shop = Users::open_in(&root, &folder.path().join("claims")).unwrap();
        shop.of("api-1").unwrap();
        files::write(&shop.path, b"{\"format\": 1, \"fir", Access::Owner).unwrap();
        assert!(is_damaged(&root));
        let opened = Users::open_in(&root, &folder.path().join("claims")).unwrap();
        let fault = opened.of("api-1").unwrap_err();
        assert!(fault.message.contains("is damaged") && fault.hint.unwrap().contains("--forget-state"));
        files::remove(&shop.path).unwrap();
        opened.of("api-1").unwrap();
    }

    #[test]
    fn in_a_container_with_few_ids_the_narrow_range_serves_or_none() {
        let ids = |count| range(&std::iter::once(0..count).collect::<Vec<_>>());
        assert_eq!(ids(4_294_967_295), Some(RANGE));
        assert_eq!(ids(65_536), Some(NARROW_RANGE));
        assert_eq!(ids(1_000), None);
    }
}
