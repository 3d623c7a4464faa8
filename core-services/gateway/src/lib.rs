//! HTTP for merchants, admins and payment providers.
