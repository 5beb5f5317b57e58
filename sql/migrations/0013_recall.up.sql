-- Recall: the terms of messages, by segment, so that a search reads only what its terms lead to; and their embeddings, where a model makes
-- some.
--
-- posting has one row per term and chunk of a segment: the messages that hold the term, with its weight in each. search_mark has
-- one row per segment that was indexed, or from which a message was removed. Both are derived from the log by kata.index_search,
-- never by an append; readers parse what lies above the mark themselves, so a search is complete at any time. The row of the mark
-- is the lock: an indexer holds it while it writes and passes over a segment whose mark another session holds; erasures and purges
-- wait for it before they lock any head, and write it, so that a transaction with an older snapshot cannot bring a text back.
--
-- Invariants: the items of a posting ascend and lie above first_version and at or below the mark; a message at or below the mark
-- that was not erased has an item for each of its terms, in one posting. A posting depends on its message alone, not on the rest of
-- the log: it reads the same from every fork and as of every version.
--
-- embedding_model has one row per model of a tenant, embedding one per message and model that kata.put_embeddings was given. embedding_mark
-- has one row per segment and model: up to where every message with a text has its embedding, so that kata.pending_embeddings does not
-- look again at what is done. Embeddings have length 1. They are made from a message and the beginning of the one before it, so an erasure
-- removes those of both. kata.put_embeddings shares the rows of these messages, which an erasure and a purge lock, and takes the row of the
-- mark last; it passes over a mark that is held. Without the extension vector an embedding is an array; the next migration makes it a halfvec.

create table kata_data.search_mark (
  segment_id uuid constraint search_mark_pkey primary key,
  indexed_through bigint not null,
  analyzer text not null
);
comment on table kata_data.search_mark is 'One row per segment that was indexed, and how far; no row: not yet.';
comment on column kata_data.search_mark.segment_id is 'The segment.';
comment on column kata_data.search_mark.indexed_through is 'The last version that was indexed.';
comment on column kata_data.search_mark.analyzer is
'The analyzer that made the postings, its version and configuration; empty where there are none. Readers pass over those of another one.';

create table kata_data.posting (
  segment_id uuid,
  term text collate "C",
  first_version bigint,
  items integer[] not null,
  constraint posting_pkey primary key (segment_id, term, first_version)
)
-- Indexing more of a log updates the newest chunks of its terms. With free space 82 % of these updates stay on their page instead of 28 %,
-- the WAL is 11 % less, and the table has the same size.
with (fillfactor = 80);
comment on table kata_data.posting is
'One row per term and chunk of 64, 1,024 or 16,384 versions of a segment. No foreign key: kata.verify looks for orphans.';
comment on column kata_data.posting.segment_id is 'The segment.';
comment on column kata_data.posting.term is 'The term: a word stem, an identifier, or a pair of characters.';
comment on column kata_data.posting.first_version is 'The version that items count from: a multiple of the size of the chunk.';
comment on column kata_data.posting.items is
'One item per message that holds the term, ascending: the distance from first_version, times 256, plus the weight, 1 to 255.';

-- Statistics would keep terms of erased messages. Every look-up is by the whole key, so the planner needs none.
alter table kata_data.posting alter column term set statistics 0;
alter table kata_data.posting alter column items set statistics 0;

create table kata_data.embedding_model (
  model_id integer generated always as identity constraint embedding_model_pkey primary key,
  tenant text not null,
  name text not null,
  dimensions integer not null,
  created_at timestamptz not null,
  constraint embedding_model_name_unique unique (tenant, name)
);
comment on table kata_data.embedding_model is 'One row per embedding model of a tenant; the first embeddings make it.';
comment on column kata_data.embedding_model.model_id is 'The model, in the tables of embeddings.';
comment on column kata_data.embedding_model.tenant is 'The tenant. Another one may have a model of the same name with other dimensions.';
comment on column kata_data.embedding_model.name is 'The name that callers give it.';
comment on column kata_data.embedding_model.dimensions is 'The numbers of each of its embeddings.';
comment on column kata_data.embedding_model.created_at is 'The time of its first embeddings.';
comment on constraint embedding_model_name_unique on kata_data.embedding_model is 'A name is one model of a tenant.';
alter table kata_data.embedding_model enable row level security;
alter table kata_data.embedding_model force row level security;

create table kata_data.embedding (
  segment_id uuid,
  model_id integer constraint embedding_model_exists references kata_data.embedding_model,
  version bigint,
  embedding real[] not null,
  constraint embedding_pkey primary key (segment_id, model_id, version)
);
comment on table kata_data.embedding is 'One row per message and model. No foreign key to the message: kata.verify looks for orphans.';
comment on column kata_data.embedding.segment_id is 'The context that wrote the message.';
comment on column kata_data.embedding.model_id is 'The model.';
comment on column kata_data.embedding.version is 'The version of the message.';
comment on column kata_data.embedding.embedding is 'The embedding, of length 1: a halfvec, or an array where the extension vector is missing.';
comment on constraint embedding_model_exists on kata_data.embedding is 'An embedding has a model.';
-- Never compressed, and in the row wherever a row fits into a page: the scores of two hundred messages are two hundred rows.
alter table kata_data.embedding alter column embedding set storage main;
alter table kata_data.embedding alter column embedding set statistics 0;

create table kata_data.embedding_mark (
  segment_id uuid,
  model_id integer constraint embedding_mark_model_exists references kata_data.embedding_model,
  complete_through bigint not null,
  constraint embedding_mark_pkey primary key (segment_id, model_id)
);
comment on table kata_data.embedding_mark is 'One row per segment and model with embeddings; the way from a model to its embeddings.';
comment on column kata_data.embedding_mark.segment_id is 'The segment.';
comment on column kata_data.embedding_mark.model_id is 'The model.';
comment on column kata_data.embedding_mark.complete_through is 'The version up to which every message with a text has its embedding.';
comment on constraint embedding_mark_model_exists on kata_data.embedding_mark is 'A mark has a model.';
create index embedding_mark_model on kata_data.embedding_mark (model_id, segment_id);
comment on index kata_data.embedding_mark_model is 'kata.embedding_models: the segments that have embeddings of a model.';

create type kata_data.recalled as (version bigint, score double precision, text_rank bigint, vector_rank bigint);
comment on type kata_data.recalled is 'A message that a query finds: its score, and its places by words and by embedding, null for none.';
create type kata_data.amended_embedding as (version bigint, amendment bigint, is_in_force boolean);
comment on type kata_data.amended_embedding is 'A message and the version of an amendment, under which the embedding of its words is stored.';
create type kata_data.text_to_embed as (segment_id uuid, version bigint, content text, digest text);
comment on type kata_data.text_to_embed is 'A message and the text that an embedding is made of, with the SHA-256 of the text.';

-- An erasure and a purge remove the terms of their messages; insert: the mark of a segment that was not indexed yet.
grant select, insert, update on kata_data.search_mark to kata_eraser;
grant select, update, delete on kata_data.posting to kata_eraser;
grant select on kata_data.embedding_model to kata_eraser;
grant select, delete on kata_data.embedding to kata_eraser;
grant select, insert, update, delete on kata_data.embedding_mark to kata_eraser;
