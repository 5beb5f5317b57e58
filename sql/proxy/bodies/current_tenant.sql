return kata_proxy.tenant();
