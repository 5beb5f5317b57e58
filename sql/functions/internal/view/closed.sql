-- Sets of versions. A set of messages, covered, deleted, pinned or visible, is stored as ranges of versions, and a version may have no
-- message: a view change took it. Two rules keep such versions from mattering. A stored set is closed: a gap in it that holds no message
-- belongs to it, or entries without a message would cut it into pieces. And sets are compared by the messages that they share. A summary
-- counts as a message, at the version of its compaction.

create or replace function kata_data.closed(context_id uuid, versions int8multirange) returns int8multirange
language plpgsql stable
as $$
begin
  if isempty(versions) or versions @> range_merge(versions) then
    return versions;
  end if;
  return versions + coalesce((
    select range_agg(g.gap)
    from unnest(int8multirange(range_merge(versions)) - versions) g(gap)
    where not kata_data.holds_messages(closed.context_id, int8multirange(g.gap))), '{}');
end
$$;
comment on function kata_data.closed(uuid, int8multirange) is
'Some versions of a path, and those between them that no message took.

Cost: O(ranges × log n).';

create or replace function kata_data.holds_messages(context_id uuid, versions int8multirange) returns boolean
language sql stable
as $$
  select exists (select from kata_data.path_messages(holds_messages.context_id, versions) m)
    or exists (select from kata_data.path_summaries(holds_messages.context_id, versions) y)
$$;
comment on function kata_data.holds_messages(uuid, int8multirange) is 'Whether a message or a summary of a path took one of some versions.';

create or replace function kata_data.without_empty_pieces(context_id uuid, before int8multirange, after int8multirange, newest bigint)
returns int8multirange
language plpgsql stable
as $$
begin
  return after - coalesce((
    select range_agg(p.piece)
    from (select a.piece from unnest(after) a(piece) except select b.piece from unnest(before) b(piece)) p
    where not p.piece @> newest
      and kata_data.first_message(without_empty_pieces.context_id, int8multirange(p.piece)) is null), '{}');
end
$$;
comment on function kata_data.without_empty_pieces(uuid, int8multirange, int8multirange, bigint) is
'What is visible after a change, less the pieces that the change has cut and in which no message is left.

before, after: visible before and after it. newest: its version, whose piece goes on growing and stays.';

create or replace function kata_data.from_first_message(context_id uuid, versions int8multirange) returns int8multirange
language plpgsql stable
as $$
declare
  v_first bigint;
begin
  v_first := kata_data.first_message(context_id, versions);
  return case when v_first is null then '{}' else versions * int8multirange(int8range(v_first, null)) end;
end
$$;
comment on function kata_data.from_first_message(uuid, int8multirange) is
'Some versions from the lowest on that a message took; none where no message did.';
