//! Pages, made of what apps and strangers may say.

mod hostile;
mod world;
