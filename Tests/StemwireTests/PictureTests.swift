import Foundation
import Stemwire
import Testing

@Suite struct PictureTests {
    @Test func limitsScaleAndMissingPositionsShow() {
        let picture = Picture(
            values: [0, 1, 2, 1000], height: 2, width: 2, valid: [true, true, true, false], colours: .grey,
            outlierShare: 0)
        #expect(picture.rgb == [0, 0, 0, 128, 128, 128, 255, 255, 255, 0x30, 0x30, 0x30])
        let logarithmic = Picture(
            values: [0, 1, 3], height: 1, width: 3, scale: .logarithmic, colours: .grey, outlierShare: 0)
        #expect(logarithmic.rgb[3] == 128)
    }

    @Test func oneOutlierDoesNotDarkenThePicture() {
        let values = (0..<1000).map { $0 == 500 ? 1e9 : Double($0) }
        let picture = Picture(values: values, height: 20, width: 50, colours: .grey, outlierShare: 0.002)
        #expect(picture.rgb[3 * 998] > 250)
        #expect(picture.rgb[3 * 500] == 255)
    }

    @Test func constantEmptyAndUnusableValuesAreDrawn() {
        #expect(Picture(values: [5, 5], height: 1, width: 2).rgb.count == 6)
        #expect(Picture(values: [.nan, .infinity], height: 1, width: 2).rgb == [UInt8](repeating: 0x30, count: 6))
    }

    @Test func colourMapsRunFromEndToEnd() {
        #expect(ColourMap.viridis.colour(of: -1) == (0x44, 0x01, 0x54))
        #expect(ColourMap.viridis.colour(of: 2) == (0xFD, 0xE7, 0x24))
        #expect(ColourMap.viridis.colour(of: .nan) == (0x44, 0x01, 0x54))
        #expect(ColourMap.viridis.colour(of: 0.5) == (0x20, 0x90, 0x8C))
    }

    @Test func thePNGHasItsSizeInItsHeader() {
        let bytes = Picture(values: (0..<6).map { Double($0) }, height: 2, width: 3).enlarged(4).png()
        #expect(Array(bytes.prefix(8)) == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        #expect(Array(bytes[16..<24]) == [0, 0, 0, 12, 0, 0, 0, 8])
    }

    @Test func theTerminalGetsTwoRowsALine() {
        let picture = Picture(values: (0..<100).map { Double($0) }, height: 10, width: 10)
        #expect(picture.terminalLines(maximumWidth: 80).count == 5)
        let small = picture.terminalLines(maximumWidth: 5)
        #expect(small.count == 3)
        #expect(small[0].filter { $0 == "▀" }.count == 5)
    }
}
