//! The service's metrics.

/// Searches, in seconds; labels `strategy` (hybrid, lexical, semantic) and `outcome`.
pub const QUERY_DURATION: &str = "rag_query_duration_seconds";
/// Parts of a search, in seconds; label `stage` (words, embed, neighbours, rank, hydrate).
pub const STAGE_DURATION: &str = "rag_stage_duration_seconds";
/// Results per search.
pub const RESULTS_RETURNED: &str = "rag_results_returned";
/// The best score of a search.
pub const TOP_SCORE: &str = "rag_top_score";
/// Look-ups in a cache; labels `cache` (embedding, result) and `result` (hit, miss, coalesced,
/// stale, bypass). Their sum is the number of look-ups.
pub const CACHE_REQUESTS: &str = "rag_cache_requests_total";
/// Entries of a cache; label `cache`.
pub const CACHE_ENTRIES: &str = "rag_cache_entries";
/// Documents that came in, by `outcome`.
pub const DOCUMENTS_SUBMITTED: &str = "knowledge_documents_submitted_total";
/// Chunks that were embedded, by `reused` (true, false).
pub const CHUNKS_EMBEDDED: &str = "knowledge_chunks_embedded_total";
/// Documents stored.
pub const DOCUMENTS: &str = "knowledge_documents";
/// Chunks stored.
pub const CHUNKS: &str = "knowledge_chunks";
/// Chunks that the model under construction still lacks.
pub const REEMBED_REMAINING: &str = "knowledge_reembed_remaining_chunks";
