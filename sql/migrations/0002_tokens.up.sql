-- Tokens: known tokenizers, and exact counts in several of them.
--
-- tokenizer has one row per known tokenizer. register_tokenizer adds and corrects them; every context names one as the unit
-- of its budgets, and no function removes a row. token_count has one row per message and further tokenizer: exact counts that
-- put_token_counts stores beside the count in the context's own tokenizer, which is a column of message. Purges delete counts
-- with their message.

create table kata_data.tokenizer (
  name text constraint tokenizer_pkey primary key constraint tokenizer_name_length check (length(name) between 1 and 255),
  bytes_per_token numeric not null constraint tokenizer_bytes_per_token_positive check (bytes_per_token > 0),
  margin numeric not null default 0.15 constraint tokenizer_margin_not_negative check (margin >= 0)
);
comment on table kata_data.tokenizer is 'One row per known tokenizer.';
comment on column kata_data.tokenizer.name is 'The name by which contexts and counts refer to it.';
comment on column kata_data.tokenizer.bytes_per_token is 'Bytes of English text per token.';
comment on column kata_data.tokenizer.margin is 'The fraction by which a count converted from another tokenizer is padded.';

insert into kata_data.tokenizer (name, bytes_per_token, margin) values
  ('o200k_base', 4.4, 0.15),
  ('cl100k_base', 4.3, 0.15),
  -- Its counts are not public: 1.18 to 1.25 times those of o200k_base were measured, 1.28 are assumed.
  ('claude', 3.6, 0.05);

create table kata_data.token_count (
  segment_id uuid,
  version bigint,
  tokenizer text constraint token_count_tokenizer_fkey references kata_data.tokenizer,
  token_count integer not null constraint token_count_positive check (token_count >= 0),
  constraint token_count_pkey primary key (segment_id, version, tokenizer)
);
comment on table kata_data.token_count is
'One row per message and tokenizer other than the one of its context: an exact count. No foreign key leads to message: a purge
deletes both, and kata.verify looks for orphans.';
comment on column kata_data.token_count.segment_id is 'With version: the message.';
comment on column kata_data.token_count.version is 'The version of the message.';
comment on column kata_data.token_count.tokenizer is 'The tokenizer that counted.';
comment on column kata_data.token_count.token_count is 'The tokens of the message.';

create type kata_data.measure as (
  tokenizer text,
  factor double precision
);
comment on type kata_data.measure is 'A tokenizer other than the one of the context, to count a window in.';
comment on column kata_data.measure.factor is
'The number of its tokens that replace one token of the context where no exact count is stored.';

grant select, delete on kata_data.token_count to kata_eraser;
