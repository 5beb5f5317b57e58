-- Estimates tokens without a tokenizer, for callers who give no counts. Called per text and hot: no regular expression, no set
-- clause. It looks at bytes only, so the result is the same under every locale.
--
-- The UTF-8 bytes become one bit string, and shifts and ands classify all of them at once: letter, digit, mark, space, control
-- character, first byte of a longer character. A class lives in the top bit of each byte; bits & (bits >> 8) are the bytes whose
-- neighbor on the left is of the class too; bit_count counts. 0x40 to 0x7f all pass as letters: [ ] _ { } begin a token much as
-- a capital does. Two weighted sums follow, one for prose and code, one for dense text (JSON, logs, base64, ids); the larger counts. Each
-- class is weighted in both: (prose + dense * 2³²).
--
-- The weights, in thousandths of a token, are from a linear program over some 10,000 texts with exact counts of o200k_base: least
-- mean excess, with a text that falls short weighing 12 to 1,200 times as much. tests/test_estimates.py holds the bounds.
-- Known to lie outside of them: other languages in Latin letters than English, German, French, Spanish and Portuguese (one message
-- in five or six is below), Russian (half above), nonsense of lower-case letters or of marks (below).

create or replace function kata_data.estimate_tokens(content text) returns integer
language plpgsql immutable strict parallel safe
as $$
declare
  v_bytes bytea := convert_to(content, 'UTF8');
  v_length integer := octet_length(v_bytes);
  v_offset integer := 1;
  v_bits varbit;
  v_mask varbit;
  v_high varbit;
  v_bit5 varbit;
  v_bit4 varbit;
  v_bit3 varbit;
  v_bit2 varbit;
  v_bit1 varbit;
  v_bit0 varbit;
  v_low varbit;
  v_letter varbit;
  v_upper varbit;
  v_start varbit;
  v_rest varbit;
  v_control varbit;
  v_digit varbit;
  v_space varbit;
  v_spaces varbit;
  v_mark varbit;
  v_marks varbit;
  v_runs varbit;
  v_lead varbit;
  v_three varbit;
  -- Both sums in one: dense × 2³² + prose + 2³¹, for every operator of a call is prepared anew. In 8 kB neither comes near 2³¹.
  v_sum bigint;
  v_total bigint := 0;
begin
  if v_length = 0 then
    return 0;
  end if;
  while v_offset <= v_length loop
    -- Pieces of 8 kB stay in the processor's cache.
    v_bits := ('x' || encode(substring(v_bytes from v_offset for 8192), 'hex'))::varbit;
    v_mask := substring(('x' || repeat('80', 8192))::varbit from 1 for length(v_bits));
    v_bit5 := v_bits << 2;
    v_bit4 := v_bits << 3;
    v_bit3 := v_bits << 4;
    v_bit2 := v_bits << 5;
    v_bit1 := v_bits << 6;
    v_bit0 := v_bits << 7;

    v_high := v_bits & v_mask;
    v_lead := (v_bits << 1) & v_mask;
    v_letter := v_lead & ~v_high;
    v_upper := v_letter & ~v_bit5;
    v_start := v_letter & ~(v_letter >> 8);
    v_rest := v_mask # (v_high | v_letter);
    v_control := v_rest & ~v_bit5;
    v_rest := v_rest # v_control;
    v_low := v_bit2 | v_bit1;
    v_digit := v_rest & v_bit4 & ~(v_bit3 & v_low);
    v_rest := v_rest # v_digit;
    v_mark := v_rest & (v_low | v_bit4 | v_bit3 | v_bit0);
    v_space := v_rest # v_mark;
    v_spaces := v_space & (v_space >> 8);
    v_marks := v_mark & (v_mark >> 8);
    v_runs := v_marks & (v_marks >> 16);

    v_sum := 2147483648 + 2043 + 1770 * 4294967296
      + (171 + 80 * 4294967296) * bit_count(v_letter)
      + (589 + 1087 * 4294967296) * bit_count(v_start)
      + (-390 - 340 * 4294967296) * bit_count(v_start & (v_rest >> 8))
      + (323 - 97 * 4294967296) * bit_count(v_upper)
      + (652 + 1942 * 4294967296) * bit_count(v_upper & (v_letter >> 8))
      + (-973 - 1571 * 4294967296) * bit_count(v_upper & (v_upper >> 8))
      + (962 + 1549 * 4294967296) * bit_count(v_digit)
      + (-591 - 1619 * 4294967296) * bit_count(v_digit & (v_digit >> 8))
      + (-462 + 1916 * 4294967296) * bit_count(v_digit & (v_space >> 8))
      + (1001 + 409 * 4294967296) * bit_count(v_mark)
      + (-973 + 381 * 4294967296) * bit_count(v_marks)
      + (514 - 613 * 4294967296) * bit_count(v_runs)
      + (-526 - 1022 * 4294967296) * bit_count(v_runs & (v_runs >> 32))
      + (1384 + 1933 * 4294967296) * bit_count(v_control)
      + (-1105 - 1726 * 4294967296) * bit_count(v_control & (v_control >> 8))
      + (-1535 - 381 * 4294967296) * bit_count(v_control & (v_mark >> 8))
      + (146 - 165 * 4294967296) * bit_count(v_space)
      + (1393 + 1577 * 4294967296) * bit_count(v_spaces)
      + (-1534 - 1412 * 4294967296) * bit_count(v_spaces & (v_space >> 16));
    if bit_count(v_high) > 0 then
      v_lead := v_lead & v_high;
      v_three := v_lead & v_bit5 & ~v_bit4;
      v_sum := v_sum
        + (434 + 469 * 4294967296) * bit_count(v_lead)
        + (317 + 126 * 4294967296) * bit_count(v_lead & ~v_bit5 & ~v_bit4)
        + (513 + 210 * 4294967296) * bit_count(v_three)
        + (1927 + 2065 * 4294967296) * bit_count(v_lead & v_bit5 & v_bit4)
        + (-3000 - 188 * 4294967296) * bit_count(v_three & ~(v_bit3 | v_low))
        + (-160 - 3000 * 4294967296) * bit_count(v_three & ~(v_bit3 | v_bit2) & v_bit1 & v_bit0)
        + (-63 - 3000 * 4294967296) * bit_count(v_three & v_bit3 & (v_bit2 # v_bit1))
        + (-550 + 1845 * 4294967296) * bit_count(v_three & v_bit3 & v_bit2 & v_bit1 & v_bit0);
    end if;

    v_total := v_total + greatest((v_sum & 4294967295) - 2147483648, v_sum >> 32, 0);
    v_offset := v_offset + 8192;
  end loop;
  return greatest(1, (v_total + 999) / 1000);
end
$$;
comment on function kata_data.estimate_tokens(text) is
'An estimate, erring high, of the tokens of o200k_base in a text. 0 for an empty text. Linear in the length of the text.';
