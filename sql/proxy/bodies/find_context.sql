return kata_proxy.find_name(name);
