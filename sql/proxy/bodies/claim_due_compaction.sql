-- One shard after the other, in random order, until one has work: a call on all would take a lease on each. One that does not answer is passed
-- over while another one does.
declare
  v_shard integer;
  v_answers integer := 0;
begin
  for v_shard in select s.shard from kata_proxy.shards() s(shard) order by random() loop
    begin
      return query {select} from {call v_shard} x;
      v_answers := v_answers + 1;
      exit when found;
    exception
      when sqlstate 'XX000' or sqlstate '57P01' or sqlstate '57P02' or sqlstate '57P03' then
        if v_answers = 0 and v_shard = (select max(s.shard) from kata_proxy.shards() s(shard)) then
          raise;
        end if;
    end;
  end loop;
  return;
end;
