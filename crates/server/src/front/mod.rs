//! The HTTP fronts: they speak a protocol with clients and hand requests to the pipeline.

pub(crate) mod h1;
