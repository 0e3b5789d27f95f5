//! The command line of `roadbed sample`.

use clap::{Args, Subcommand};

/// Take and show the sample that previews begin with
#[derive(Debug, Subcommand)]
pub enum Sample {
    Take(TakeSample),
    Show(ShowSample),
}

/// Take a sample of an environment's documents, masked, for previews to begin with
///
/// What leaves and what becomes of it is in the manifest, by collection and field: a field that is not named does not leave. Documents
/// are read by a user that is lent for this and can only read. The same value becomes the same throughout one sample, by a key that is
/// then thrown away. Before anything is written it is searched for what came in: values of masked fields, e-mail addresses, numbers of
/// cards and telephones. Where one is found nothing is written, and the fields are named. The sample of before stays until then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed sample take --env staging
  roadbed sample take --env production --reason \"previews show last year's goods\"
  roadbed sample take --env staging --json | jq .collections

Exit codes:
  0  written
  1  nothing was written: the environment is down, or something that came in would leave
  2  the manifest is wrong or lets nothing leave, or there is no reason for a look into production")]
pub struct TakeSample {
    /// Why, for the record; production asks for it
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
}

/// Show what is in the sample
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed sample show             where and when it was taken, and how many documents it has
  roadbed sample show orders      the documents of a collection, one a line, in JSON

Exit codes:
  0  shown
  1  there is no sample, or it is damaged
  2  it has no such collection")]
pub struct ShowSample {
    /// The documents of this collection
    #[arg(value_name = "COLLECTION")]
    pub collection: Option<String>,
}
