//! RFC 9209: the Proxy-Status field, which tells what went wrong between Copal and an origin.

use crate::structured::{parameter, string, token_or_string};
use sfv::{key_ref, token_ref};

/// A proxy error type (§2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProxyError {
    /// `dns_timeout`; recommended status 504.
    DnsTimeout,
    /// `dns_error`; recommended status 502.
    DnsError,
    /// `destination_not_found`; recommended status 500.
    DestinationNotFound,
    /// `destination_unavailable`; recommended status 503.
    DestinationUnavailable,
    /// `destination_ip_prohibited`; recommended status 502.
    DestinationIpProhibited,
    /// `destination_ip_unroutable`; recommended status 502.
    DestinationIpUnroutable,
    /// `connection_refused`; recommended status 502.
    ConnectionRefused,
    /// `connection_terminated`; recommended status 502.
    ConnectionTerminated,
    /// `connection_timeout`; recommended status 504.
    ConnectionTimeout,
    /// `connection_read_timeout`; recommended status 504.
    ConnectionReadTimeout,
    /// `connection_write_timeout`; recommended status 504.
    ConnectionWriteTimeout,
    /// `connection_limit_reached`; recommended status 503.
    ConnectionLimitReached,
    /// `tls_protocol_error`; recommended status 502.
    TlsProtocolError,
    /// `tls_certificate_error`; recommended status 502.
    TlsCertificateError,
    /// `tls_alert_received`; recommended status 502.
    TlsAlertReceived,
    /// `http_request_error`; recommended status 400.
    HttpRequestError,
    /// `http_request_denied`; recommended status 403.
    HttpRequestDenied,
    /// `http_response_incomplete`; recommended status 502.
    HttpResponseIncomplete,
    /// `http_response_header_section_size`; recommended status 502.
    HttpResponseHeaderSectionSize,
    /// `http_response_header_size`; recommended status 502.
    HttpResponseHeaderSize,
    /// `http_response_body_size`; recommended status 502.
    HttpResponseBodySize,
    /// `http_response_trailer_section_size`; recommended status 502.
    HttpResponseTrailerSectionSize,
    /// `http_response_transfer_coding`; recommended status 502.
    HttpResponseTransferCoding,
    /// `http_response_content_coding`; recommended status 502.
    HttpResponseContentCoding,
    /// `http_response_timeout`; recommended status 504.
    HttpResponseTimeout,
    /// `http_upgrade_failed`; recommended status 502.
    HttpUpgradeFailed,
    /// `http_protocol_error`; recommended status 502.
    HttpProtocolError,
    /// `proxy_internal_response`; recommended status 500.
    ProxyInternalResponse,
    /// `proxy_internal_error`; recommended status 500.
    ProxyInternalError,
    /// `proxy_configuration_error`; recommended status 500.
    ProxyConfigurationError,
    /// `proxy_loop_detected`; recommended status 502.
    ProxyLoopDetected,
}

/// Every error type with its token and the status that §2.3 recommends, in the order of the enum.
pub const PROXY_ERRORS: &[(ProxyError, &str, u16)] = &[
    (ProxyError::DnsTimeout, "dns_timeout", 504),
    (ProxyError::DnsError, "dns_error", 502),
    (ProxyError::DestinationNotFound, "destination_not_found", 500),
    (ProxyError::DestinationUnavailable, "destination_unavailable", 503),
    (ProxyError::DestinationIpProhibited, "destination_ip_prohibited", 502),
    (ProxyError::DestinationIpUnroutable, "destination_ip_unroutable", 502),
    (ProxyError::ConnectionRefused, "connection_refused", 502),
    (ProxyError::ConnectionTerminated, "connection_terminated", 502),
    (ProxyError::ConnectionTimeout, "connection_timeout", 504),
    (ProxyError::ConnectionReadTimeout, "connection_read_timeout", 504),
    (ProxyError::ConnectionWriteTimeout, "connection_write_timeout", 504),
    (ProxyError::ConnectionLimitReached, "connection_limit_reached", 503),
    (ProxyError::TlsProtocolError, "tls_protocol_error", 502),
    (ProxyError::TlsCertificateError, "tls_certificate_error", 502),
    (ProxyError::TlsAlertReceived, "tls_alert_received", 502),
    (ProxyError::HttpRequestError, "http_request_error", 400),
    (ProxyError::HttpRequestDenied, "http_request_denied", 403),
    (ProxyError::HttpResponseIncomplete, "http_response_incomplete", 502),
    (ProxyError::HttpResponseHeaderSectionSize, "http_response_header_section_size", 502),
    (ProxyError::HttpResponseHeaderSize, "http_response_header_size", 502),
    (ProxyError::HttpResponseBodySize, "http_response_body_size", 502),
    (ProxyError::HttpResponseTrailerSectionSize, "http_response_trailer_section_size", 502),
    (ProxyError::HttpResponseTransferCoding, "http_response_transfer_coding", 502),
    (ProxyError::HttpResponseContentCoding, "http_response_content_coding", 502),
    (ProxyError::HttpResponseTimeout, "http_response_timeout", 504),
    (ProxyError::HttpUpgradeFailed, "http_upgrade_failed", 502),
    (ProxyError::HttpProtocolError, "http_protocol_error", 502),
    (ProxyError::ProxyInternalResponse, "proxy_internal_response", 500),
    (ProxyError::ProxyInternalError, "proxy_internal_error", 500),
    (ProxyError::ProxyConfigurationError, "proxy_configuration_error", 500),
    (ProxyError::ProxyLoopDetected, "proxy_loop_detected", 502),
];

impl ProxyError {
    /// The token on the wire.
    #[must_use]
    pub fn token(self) -> &'static str {
        PROXY_ERRORS[self as usize].1
    }

    /// The status that the RFC recommends for a response that Copal makes because of it.
    #[must_use]
    pub fn status(self) -> u16 {
        PROXY_ERRORS[self as usize].2
    }

    /// Appends a member to `out`, without a comma before it: `name; error=…; details="…"`.
    ///
    /// ```
    /// use copal_semantics::proxy_status::ProxyError;
    /// let mut out = String::new();
    /// ProxyError::ConnectionRefused.write("copal", None, &mut out);
    /// assert_eq!(out, "copal; error=connection_refused");
    /// ```
    pub fn write(self, name: &str, details: Option<&str>, out: &mut String) {
        token_or_string(name, out);
        parameter(key_ref("error"), token_ref(self.token()), out);
        if let Some(text) = details {
            out.push_str("; details=");
            string(text, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfv::{List, Parser};

    #[test]
    fn the_table_covers_every_error_in_the_order_of_the_enum() {
        for (i, (error, token, status)) in PROXY_ERRORS.iter().enumerate() {
            assert_eq!(*error as usize, i, "{token}");
            assert!((400..600).contains(status), "{token}");
            let mut out = String::new();
            error.write("copal", Some("said \"no\""), &mut out);
            assert!(Parser::new(&out).parse::<List>().is_ok(), "{token}");
        }
        assert_eq!(PROXY_ERRORS.len(), ProxyError::ProxyLoopDetected as usize + 1);
    }
}
