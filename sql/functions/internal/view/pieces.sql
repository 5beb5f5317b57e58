-- A view is stored whole with every change, so it may not fall into arbitrarily many pieces.

create or replace function kata_data.check_pieces(context_id uuid, before kata_data.view, after kata_data.view) returns void
language plpgsql stable
as $$
declare
  v_before kata_data.view := before;
  v_after bigint := kata_data.piece_count(after);
begin
  if v_after <= 1000 then
    return;
  end if;
  -- Messages appended as pinned may have cut the view before: a change that does not cut it further is let through.
  v_before.visible := kata_data.visible_at(before, after.version);
  v_before.pinned_groups := array(select distinct p.pinned from unnest(kata_data.pinned_groups_at(context_id, before, after.version)) p(pinned));
  if v_after <= kata_data.piece_count(v_before) then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('the view would fall into %s pieces', v_after),
    detail = 'A view holds at most 1000 ranges of versions, pins, summaries, elisions and amendments together.',
    hint = 'Compact with kata.compact or kata.begin_compaction, or unpin what need not stay, and try again.';
end
$$;
comment on function kata_data.check_pieces(uuid, kata_data.view, kata_data.view) is
'Refuses a change that cuts the view into more than 1,000 pieces. KC017.';

create or replace function kata_data.piece_count(view kata_data.view) returns bigint
language sql immutable
as $$
  select (select count(*) from unnest(view.visible)) + cardinality(view.pinned_groups) + cardinality(view.replacements) + cardinality(view.elisions)
    + cardinality(view.amendments)
$$;
comment on function kata_data.piece_count(kata_data.view) is 'The number of ranges, pins, summaries, elisions and amendments of a view.';
