-- One shard after the other, in random order, until one has work: a call on all would take a lease on each. One that does not answer, or
-- that moves, is passed over while another one does.
declare
  v_shards integer[] := array(select s.shard from kata_proxy.shards() s(shard) order by random());
  v_shard integer;
  v_silent integer := 0;
begin
  foreach v_shard in array v_shards loop
    begin
      return query {select} from {call v_shard} x;
      exit when found;
    exception
      when sqlstate 'KC024' or sqlstate 'XX000' or sqlstate '57P01' or sqlstate '57P02' or sqlstate '57P03' then
        v_silent := v_silent + 1;
        if v_silent = cardinality(v_shards) then
          raise;
        end if;
    end;
  end loop;
  return;
end;
