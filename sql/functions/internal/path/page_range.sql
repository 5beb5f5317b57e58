-- The range of versions that holds the next page of a list.

create or replace function kata_data.page_range(versions int8multirange, size bigint, newest boolean) returns int8multirange
language plpgsql immutable
as $$
declare
  v_whole int8range := range_merge(versions);
begin
  -- Mostly one range, or a part of the outermost one.
  if isempty(versions) or upper(v_whole) - lower(v_whole) <= size then
    return versions;
  end if;
  v_whole := case
    when newest then int8range(upper(v_whole) - size, upper(v_whole))
    else int8range(lower(v_whole), lower(v_whole) + size)
  end;
  if versions @> v_whole then
    return int8multirange(v_whole);
  end if;
  return (
    select range_agg(case
      when p.through <= size then p.piece
      when newest then int8range(lower(p.piece) + p.through - size, upper(p.piece))
      else int8range(lower(p.piece), upper(p.piece) - (p.through - size))
    end)
    from (
      select r.piece, sum(upper(r.piece) - lower(r.piece)) over (order by case when newest then -1 else 1 end * lower(r.piece))::bigint as through
      from unnest(versions) r(piece)
    ) p
    where p.through - (upper(p.piece) - lower(p.piece)) < size);
end
$$;
comment on function kata_data.page_range(int8multirange, bigint, boolean) is
'The lowest or the newest of some versions, which are bounded, as many as size says.

Cost: O(1) where they are one range, else O(pieces).';
