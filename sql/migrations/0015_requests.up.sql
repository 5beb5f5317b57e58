-- Requests: what a model was sent, as the recipe from which kata.replay makes the same bytes.
--
-- request has one row per body that kata.request made. It holds which versions were shown and how, never a text, a count that could
-- change or a question that could be answered otherwise later. kata.append sets the answer and kata.complete_request the usage, once.
-- Requests are numbered in their context and write no head: two at once take different numbers, and the second waits for the first.
--
-- request_profile has one row per way to ask: form, renderer, model, tools, options. It stays the same from turn to turn, so a request
-- names it by number. tool_list has one row per list of tools, as text: the order of keys in a schema is part of what a model reads.
-- kata.request looks both up by digest and inserts what is missing. No constraint makes a digest unique: a second session would wait
-- there until the first commits, perhaps as long as a model runs. Two rows of one digest are harmless, for only digests are compared.
--
-- Invariants: requests of a context are numbered from 1 without a gap, except those that a purge removed; a recipe and its profile
-- never change. An erasure removes the salt of every request that showed the entry, so that its digest says nothing about the text.

create table kata_data.tool_list (
  list_id bigint generated always as identity constraint tool_list_pkey primary key,
  tenant text not null,
  digest bytea not null,
  created_at timestamptz not null,
  content text not null
);
comment on table kata_data.tool_list is 'One row per list of tools of a tenant, as it was given. Immutable.';
comment on column kata_data.tool_list.list_id is 'A number of this database alone; tables name a list by its digest.';
comment on column kata_data.tool_list.tenant is 'The tenant that gave it.';
comment on column kata_data.tool_list.digest is 'SHA-256 of content.';
comment on column kata_data.tool_list.created_at is 'The time when it was first given.';
comment on column kata_data.tool_list.content is 'A JSON array of objects, byte for byte.';
create index tool_list_digest on kata_data.tool_list (tenant, digest);
comment on index kata_data.tool_list_digest is 'kata.request, kata.replay: a list by its digest. Not unique: two sessions may insert one list at once.';

create table kata_data.request_profile (
  profile_id bigint generated always as identity constraint request_profile_pkey primary key,
  renderer smallint not null,
  tools_tokens integer not null,
  created_at timestamptz not null,
  tenant text not null,
  format text not null,
  system text not null,
  thinking text,
  tokenizer text not null,
  model text,
  cache text,
  digest bytea not null,
  prefix_digest bytea not null,
  tools_digest bytea,
  options text
);
comment on table kata_data.request_profile is 'One row per way to ask of a tenant. Immutable.';
comment on column kata_data.request_profile.profile_id is 'A number of this database alone; no digest covers it.';
comment on column kata_data.request_profile.renderer is 'The number of the renderer that wrote the body.';
comment on column kata_data.request_profile.tools_tokens is 'An estimate of the tokens of the tools in o200k_base; 0 for none.';
comment on column kata_data.request_profile.created_at is 'The time of its first request.';
comment on column kata_data.request_profile.tenant is 'The tenant that asks.';
comment on column kata_data.request_profile.format is 'The form of the body: openai, responses, anthropic or gemini.';
comment on column kata_data.request_profile.system is 'How system messages after the preamble go out, as in kata.prompt.';
comment on column kata_data.request_profile.thinking is 'Which thinking of earlier answers goes out, as in kata.prompt; null for the default.';
comment on column kata_data.request_profile.model is 'The model in the body; null for none.';
comment on column kata_data.request_profile.tokenizer is 'The tokenizer that counted.';
comment on column kata_data.request_profile.cache is 'The provider whose cache was planned for; null for none.';
comment on column kata_data.request_profile.digest is 'The first 16 bytes of SHA-256 over all that the body depends on, and over the other columns.';
comment on column kata_data.request_profile.prefix_digest is
'The first 16 bytes of SHA-256 over what stands before the messages: form, renderer, system, model, tools, and the options that act on the
prompt. Thinking and cache survive a change of profile that leaves it as it is.';
comment on column kata_data.request_profile.tools_digest is 'The list of tools in tool_list; null for none.';
comment on column kata_data.request_profile.options is 'Further keys of the body, a JSON object as it was given; null for none.';
create index request_profile_digest on kata_data.request_profile (tenant, digest);
create index request_profile_tools on kata_data.request_profile (tenant, tools_digest) where tools_digest is not null;
comment on index kata_data.request_profile_tools is 'kata.purge_context: whether a profile names a list of tools.';
comment on index kata_data.request_profile_digest is
'kata.request: a profile by its digest. Not unique: two sessions may insert one profile at once.';

-- Statistics would keep what a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.tool_list
  alter column digest set statistics 0,
  alter column content set statistics 0;
alter table kata_data.request_profile
  alter column digest set statistics 0,
  alter column prefix_digest set statistics 0,
  alter column tools_digest set statistics 0,
  alter column model set statistics 0,
  alter column options set statistics 0;

-- Both hold texts of a tenant: row-level security as on context. request has none; it holds no text, as head.
alter table kata_data.tool_list enable row level security;
alter table kata_data.tool_list force row level security;
alter table kata_data.request_profile enable row level security;
alter table kata_data.request_profile force row level security;

create table kata_data.request (
  context_id uuid,
  request_id bigint,
  at bigint not null,
  created_at timestamptz not null,
  preamble_end bigint not null,
  start_version bigint not null,
  profile_id bigint not null,
  answer_version bigint,
  framed_from bigint,
  bridge integer,
  recall_place bigint,
  turn_version bigint,
  budget integer not null,
  stable_step integer not null,
  token_count integer not null,
  message_count integer not null,
  duration integer,
  input_tokens integer,
  cached_tokens integer,
  written_tokens integer,
  output_tokens integer,
  long_ttl boolean not null,
  open_end boolean not null,
  body_digest bytea not null,
  salt bytea,
  shown int8multirange,
  hidden_thinking int8multirange,
  recalled int8multirange,
  error text,
  constraint request_pkey primary key (context_id, request_id)
)
-- Room for the one update that completes a row: it stays on its page, and no index changes. No foreign key leads to the profile: it would
-- lock that row at every request.
with (fillfactor = 95);
comment on table kata_data.request is
'One row per request: the recipe of a body, its answer and its usage. Immutable, except that answer and usage are set once, and that
kata_eraser removes salt and error and deletes purged rows.';
comment on column kata_data.request.context_id is 'The context that asked. A fork does not inherit requests.';
comment on column kata_data.request.request_id is 'Its number in the context: 1, 2, 3 …';
comment on column kata_data.request.at is 'The version as of which it shows the context.';
comment on column kata_data.request.created_at is 'The time when it was made.';
comment on column kata_data.request.preamble_end is 'The last version of the preamble that it showed; 0 for none.';
comment on column kata_data.request.start_version is 'The version from which on everything that is visible was shown, beside the preamble.';
comment on column kata_data.request.profile_id is 'The way to ask, in request_profile.';
comment on column kata_data.request.answer_version is 'The message that answers it, in its context; null for none.';
comment on column kata_data.request.framed_from is
'The first of the requests that the digest of the answer covers, up to this one; null before the answer.';
comment on column kata_data.request.bridge is 'The turn of the body, from 0, whose end has a mark of the cache beside the last; null for none.';
comment on column kata_data.request.recall_place is 'The position at which the recalled messages stand; null for none.';
comment on column kata_data.request.turn_version is
'The last message of the user, where it was shown from below start_version and shown says nothing; else null.';
comment on column kata_data.request.budget is 'The tokens that it was given, reserve and tools included.';
comment on column kata_data.request.stable_step is 'The tokens for which its start stays still; 0 for none.';
comment on column kata_data.request.token_count is 'The tokens of its messages and tools, as they were counted then.';
comment on column kata_data.request.message_count is 'The messages and summaries in it.';
comment on column kata_data.request.duration is 'Milliseconds until the answer; null if not known.';
comment on column kata_data.request.input_tokens is 'The tokens that the provider read; null if not known.';
comment on column kata_data.request.cached_tokens is 'Those of them that came from its cache; null if not known.';
comment on column kata_data.request.written_tokens is 'Those of them that went into its cache; null if not known.';
comment on column kata_data.request.output_tokens is 'The tokens that the provider wrote; null if not known.';
comment on column kata_data.request.long_ttl is 'Whether its marks ask for the longer time to live.';
comment on column kata_data.request.open_end is
'Whether a call in it had no result yet in its last group: a later body closes it, so this one is not a prefix of that.';
comment on column kata_data.request.body_digest is 'SHA-256 over the salt and the body.';
comment on column kata_data.request.salt is '16 random bytes; null after an erasure of an entry that it showed.';
comment on column kata_data.request.shown is
'The versions of messages and summaries that it showed; null for the preamble, turn_version, what is visible from start_version on, and
all summaries.';
comment on column kata_data.request.hidden_thinking is 'The versions of answers whose thinking was left out; null for none.';
comment on column kata_data.request.recalled is 'The versions that it showed as recalled; null for none.';
comment on column kata_data.request.error is 'What came instead of an answer, as the caller says; null for none.';

create index request_profile_use on kata_data.request (profile_id);
comment on index kata_data.request_profile_use is 'kata.purge_context: whether a request names a profile.';

alter table kata_data.request
  alter column body_digest set statistics 0,
  alter column salt set statistics 0,
  alter column error set statistics 0;

create function kata_data.refuse_second_completion() returns trigger
language plpgsql
as $$
begin
  -- The usual case, evaluated at every answer: null tests cost a fourth of comparisons.
  if old.answer_version is null and old.framed_from is null and old.duration is null and old.input_tokens is null
    and old.cached_tokens is null and old.written_tokens is null and old.output_tokens is null and old.error is null
    and (new.answer_version is not null or new.duration is not null or new.input_tokens is not null or new.cached_tokens is not null
      or new.written_tokens is not null or new.output_tokens is not null or new.error is not null)
  then
    return new;
  end if;
  if current_user = 'kata_eraser' or (new is distinct from old
    and (old.answer_version is null or old.answer_version = new.answer_version) is true
    and (old.framed_from is null or old.framed_from = new.framed_from) is true
    and (old.duration is null or old.duration = new.duration) is true
    and (old.input_tokens is null or old.input_tokens = new.input_tokens) is true
    and (old.cached_tokens is null or old.cached_tokens = new.cached_tokens) is true
    and (old.written_tokens is null or old.written_tokens = new.written_tokens) is true
    and (old.output_tokens is null or old.output_tokens = new.output_tokens) is true
    and (old.error is null or old.error = new.error) is true)
  then
    return new;
  end if;
  raise exception using
    errcode = 'KC015',
    message = format('history is immutable: %s on %I.%I refused', lower(tg_op), tg_table_schema, tg_table_name),
    detail = format('Role "%s" is not the eraser, and a request is completed once.', current_user),
    hint = 'Complete a request with kata.append or kata.complete_request.';
end
$$;
comment on function kata_data.refuse_second_completion() is
'Trigger: refuses every change of the answer, the usage and the error of a request, except the first, and those by kata_eraser.';

create trigger tool_list_is_immutable before update or delete on kata_data.tool_list
  for each row execute function kata_data.refuse_change();
create trigger tool_list_is_immutable_as_a_whole before update or delete or truncate on kata_data.tool_list
  for each statement execute function kata_data.refuse_change();
create trigger request_profile_is_immutable before update or delete on kata_data.request_profile
  for each row execute function kata_data.refuse_change();
create trigger request_profile_is_immutable_as_a_whole before update or delete or truncate on kata_data.request_profile
  for each statement execute function kata_data.refuse_change();
-- Each column is in one of the first two.
create trigger request_is_immutable before delete or update of
  context_id, request_id, at, created_at, preamble_end, start_version, profile_id, bridge, recall_place, turn_version, budget, stable_step,
  token_count, message_count, long_ttl, open_end, body_digest, salt, shown, hidden_thinking, recalled on kata_data.request
  for each row execute function kata_data.refuse_change();
create trigger request_is_completed_once before update of
  answer_version, framed_from, duration, input_tokens, cached_tokens, written_tokens, output_tokens, error on kata_data.request
  for each row execute function kata_data.refuse_second_completion();
create trigger request_is_immutable_as_a_whole before delete or truncate on kata_data.request
  for each statement execute function kata_data.refuse_change();
alter table kata_data.tool_list enable always trigger tool_list_is_immutable;
alter table kata_data.tool_list enable always trigger tool_list_is_immutable_as_a_whole;
alter table kata_data.request_profile enable always trigger request_profile_is_immutable;
alter table kata_data.request_profile enable always trigger request_profile_is_immutable_as_a_whole;
alter table kata_data.request enable always trigger request_is_immutable;
alter table kata_data.request enable always trigger request_is_completed_once;
alter table kata_data.request enable always trigger request_is_immutable_as_a_whole;

-- A purge removes rows; an erasure blanks what would let its text be guessed.
grant select, update (salt, error), delete on kata_data.request to kata_eraser;
grant select, update (created_at), delete on kata_data.request_profile, kata_data.tool_list to kata_eraser;

create type kata_data.answer as (
  place bigint,
  request_id bigint,
  framed bigint,
  requests text
);
comment on type kata_data.answer is
'The message of a batch that answers a request: its place among the new messages; the request; the greatest request that the
digests of answers cover then, as in head; the digest of the requests that its own frame covers.';
