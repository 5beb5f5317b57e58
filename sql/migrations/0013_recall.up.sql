-- Recall: the terms of messages, by segment, so that a search reads only what its terms lead to.
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
);
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

-- An erasure and a purge remove the terms of their messages; insert: the mark of a segment that was not indexed yet.
grant select, insert, update on kata_data.search_mark to kata_eraser;
grant select, update, delete on kata_data.posting to kata_eraser;
