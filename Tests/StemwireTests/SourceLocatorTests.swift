import Stemwire
import Testing

@Suite struct SourceLocatorTests {
    @Test(arguments: [
        ("synthetic", SourceLocator.synthetic),
        ("merlin://scope", .merlin(host: "scope", controlPort: 6341, dataPort: 6342)),
        ("merlin://10.0.0.1:7000,7001", .merlin(host: "10.0.0.1", controlPort: 7000, dataPort: 7001)),
        ("merlin://[::1]:7000,7001", .merlin(host: "::1", controlPort: 7000, dataPort: 7001)),
        ("stemwire://scope", .server(host: "scope", port: 7400)),
        ("tcp://scope:99", .server(host: "scope", port: 99)),
        ("a/b c.hdr", .file(path: "a/b c.hdr")),
        ("x.mib", .file(path: "x.mib")),
    ])
    func isRead(text: String, locator: SourceLocator) throws {
        #expect(try SourceLocator(text) == locator)
    }

    @Test(arguments: [
        "", "merlin://", "merlin://host:6341", "merlin://host:a,b", "merlin://host:0,1", "merlin://host:6341,70000",
        "stemwire://", "stemwire://host:", "stemwire://host:1,2", "stemwire:///x", "file.tif", "merlin://[::1",
    ])
    func isRefusedWithAReason(text: String) {
        let failure = #expect(throws: SourceLocatorError.self) { try SourceLocator(text) }
        #expect(failure?.description.contains("'\(text)' is not a source") == true)
    }
}
