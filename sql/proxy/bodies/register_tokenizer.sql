perform from {call all};
return;
