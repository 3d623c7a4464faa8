//! Reserved for configuration rows and the audit of dashboard actions: nothing of it is built yet, and no process runs
//! it. The dashboard itself is in the gateway, `gateway/src/pages`.
